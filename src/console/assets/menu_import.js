// Menus in JSON files: our own form, and what the old service kept in the Realtime Database, whatever part of it somebody exported. Pure.

import { priceOf } from "./menu_reading.js";

const isMap = (node) => typeof node === "object" && node !== null && !Array.isArray(node);

/**
 * The menus in a file, `{ tenant, items }` each: one, or none, where the file is of one tenant or has ours (`tenant`); else those of all
 * tenants, of which somebody chooses.
 */
export function menusIn(whole, tenant) {
  if (isMap(whole?.tenants)) return ofTenants(whole.tenants, tenant);
  const own = isMap(whole) ? itemsOf(whole[tenant]) : null;
  if (own) return [{ tenant: null, items: own }];
  const items = itemsOf(whole);
  if (items) return [{ tenant: null, items }];
  return isMap(whole) ? ofTenants(whole, tenant) : [];
}

function ofTenants(tenants, wanted) {
  const all = Object.entries(tenants).map(([tenant, node]) => ({ tenant, items: isMap(node) ? itemsOf(node) : null })).filter(({ items }) => items);
  const own = all.filter(({ tenant }) => tenant === wanted);
  return own.length > 0 ? own : all;
}

/** The dishes below a tenant, a menu, or in themselves. */
function itemsOf(node) {
  if (isMap(node?.menu) && node.menu.items) return node.menu.items;
  if (isMap(node) && typeof node.items === "object" && node.items !== null) return node.items;
  const children = typeof node === "object" && node !== null ? Object.values(node) : [];
  return children.some((child) => isMap(child) && "price" in child && "name" in child) ? node : null;
}

/** Rows as those of pasted lines: dishes, and what could not be read. A database without arrays has objects with numbers for names. */
export function readItems(items) {
  const named = Array.isArray(items) ? items.map((item, n) => [String(n + 1), item]) : Object.entries(items);
  const seen = new Set();
  return named.filter(([, item]) => item !== null).map(([key, item], n) => {
    const text = (field) => (typeof item?.[field] === "string" ? item[field].trim() : "");
    const row = { line: n + 1, text: [text("name") || key, item?.price ?? ""].join(" · ") };
    const unread = (reason) => ({ ...row, kind: "unread", reason });
    if (!isMap(item) || !/\p{L}/u.test(text("name"))) return unread("no_name");
    if (item.price === undefined || item.price === null || item.price === "") return unread("no_price");
    const price = typeof item.price === "number" ? item.price : priceOf(item.price)?.value;
    if (!Number.isSafeInteger(price) || price < 0) return unread("price");
    // A number in a list says where it stands and not which dish it is.
    const id = text("id") || (Array.isArray(items) ? undefined : key);
    if (id !== undefined && seen.has(id)) return unread("twice");
    seen.add(id);
    const aliases = Array.isArray(item.aliases) ? item.aliases.filter((alias) => typeof alias === "string" && alias.trim() !== "") : [];
    return {
      ...row, kind: "dish", id, name: text("name"), price, category: text("category"), description: text("description"), aliases,
      ...(typeof item.available === "boolean" ? { available: item.available } : {}),
    };
  });
}
