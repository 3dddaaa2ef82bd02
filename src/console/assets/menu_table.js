// The dishes of a menu by category, as customers see them: the number that they order by, price, what is sold out; found by search, gone through
// with the arrow keys. Only what differs is drawn anew: long menus stay quick.

import { arrows, fill, h, list, svg } from "./dom.js";
import { icon } from "./icons.js";
import { grouped } from "./menu_merge.js";
import { folded } from "./menu_reading.js";
import { label, name } from "./text.js";
import { t } from "./words.js";

const ARROWS = { upward: ["M12 19V6", "m6 11 6-6 6 6"], downward: ["M12 5v13", "m6 13 6 6 6-6"] };
const sign = (name) => (name in ARROWS ? svg(ARROWS[name]) : icon(name));

/** An amount as the bot writes it to customers. */
export function amount(price) {
  return Number.isFinite(price) ? `$ ${String(price).replace(/\B(?=(\d{3})+$)/g, ".")}` : String(price ?? "");
}

export function dishTable({ edit, move, remove, flip, add, rename, moveCategory }) {
  const place = h("div", { class: "menu-groups" });
  const empty = h("div", { class: "panel" });
  const node = h("div", null, place, empty);
  /** By id, what a search looks in; by dish, since a changed one is another object. */
  const texts = new WeakMap();
  let drawn = 0;

  arrows(place, ".dish-name");
  place.addEventListener("keydown", (event) => {
    const row = event.target.closest("[data-dish]");
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!row) return;
    if (event.altKey && step && !place.hasAttribute("data-found")) {
      event.preventDefault();
      press(row, step < 0 ? "up" : "down");
    } else if (event.key === "Delete" && event.target.matches(".dish-name")) {
      event.preventDefault();
      press(row, "remove");
    }
  });
  const press = (row, part) => row.querySelector(`[data-part="${part}"]`)?.click();

  function textOf(item) {
    if (!texts.has(item)) texts.set(item, folded([item.name, item.category, item.description, ...(item.aliases ?? [])].join(" ")));
    return texts.get(item);
  }

  function draw({ items, query, filter, flaws, unsaved }) {
    const wanted = folded(query).split(" ").filter(Boolean);
    const shows = (item) => (filter === "soldout" ? !item.available : filter === "unsaved" ? unsaved.has(item.id) : true) && wanted.every((word) => textOf(item).includes(word));
    const numbers = new Map(items.map(({ id }, n) => [id, n + 1]));
    const whole = wanted.length === 0 && filter === "all";
    const all = grouped(items);
    const groups = all.map((group, n) => ({ ...group, items: group.items.filter(shows), all: group.items.length, first: group.items[0], last: group.items.at(-1), isFirst: n === 0, isLast: n === all.length - 1 })).filter(({ items }) => items.length > 0);
    const state = { numbers, flaws, unsaved, whole };
    // Nobody moves among dishes that are not seen.
    place.toggleAttribute("data-found", !whole);
    const held = holder();
    drawn += 1;
    list(place, groups, {
      key: ({ category }) => category,
      version: () => drawn,
      make: (group) => {
        const section = makeGroup(group.category);
        updateGroup(section, group, state);
        return section;
      },
      update: (section, group) => updateGroup(section, group, state),
    });
    held();
    empty.hidden = groups.length > 0;
    if (groups.length === 0) {
      fill(empty, h("div", { class: "empty" }, icon("cart"),
        items.length > 0 ? h("p", null, t("menu.found.none")) : [h("p", null, t("menu.none")), h("p", { class: "small" }, t("menu.none.hint"))]));
    }
  }

  /** What is drawn anew or moved keeps the focus that was in it. */
  function holder() {
    const active = document.activeElement;
    if (!place.contains(active)) return () => {};
    const row = active.closest("[data-dish]");
    const group = active.closest(".menu-group");
    const next = (row?.nextElementSibling ?? row?.previousElementSibling)?.dataset.dish;
    return () => {
      if (place.contains(document.activeElement)) return;
      const now = row ? find(row.dataset.dish) ?? find(next) : group;
      const same = now?.querySelector(`[data-part="${active.dataset.part}"]:enabled`);
      (same ?? now?.querySelector(row ? ".dish-name" : "button:enabled"))?.focus();
    };
  }

  const find = (id) => (id === undefined ? null : place.querySelector(`[data-dish="${CSS.escape(id)}"]`));

  function makeGroup(category) {
    const column = (words) => h("th", { role: "columnheader", scope: "col" }, t(words));
    const called = category === "" ? t("menu.no_category") : label(category);
    const rows = h("tbody", { role: "rowgroup" });
    const count = h("span", { class: "muted small" });
    const button = (part, drawn, words, onclick) => h("button", { type: "button", class: "button quiet icon-only", "data-part": part, "aria-label": t(words, { name: called }), title: t(words, { name: called }), onclick }, sign(drawn));
    const up = button("up", "upward", "menu.category.up", () => moveCategory(category, -1));
    const down = button("down", "downward", "menu.category.down", () => moveCategory(category, 1));
    const section = h("section", { class: "panel menu-group", "aria-label": called },
      h("header", null, h("h3", null, name(called), " ", count),
        h("div", { class: "row" }, up, down, button("rename", "edit", "menu.category.rename", () => rename(category)), button("add", "plus", "menu.category.add", () => add(category)))),
      h("table", { class: "table dishes", role: "table", "aria-label": called },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, column("menu.number"), column("menu.name"), column("menu.price"), column("menu.available"), column("actions"))),
        rows));
    section.parts = { rows, count, up, down };
    return section;
  }

  function updateGroup(section, group, { numbers, flaws, unsaved, whole }) {
    const { rows, count, up, down } = section.parts;
    fill(count, group.items.length === group.all ? String(group.all) : t("menu.of", { n: group.items.length, all: group.all }));
    up.disabled = group.isFirst || !whole;
    down.disabled = group.isLast || !whole;
    const shown = group.items.map((item) => ({ item, number: numbers.get(item.id), flaws: flaws.get(item.id), isUnsaved: unsaved.has(item.id), canUp: item !== group.first, canDown: item !== group.last }));
    list(rows, shown, {
      key: ({ item }) => item.id,
      version: (one) => JSON.stringify(one),
      make: (one) => {
        const row = makeRow(one);
        row.said = saidOf(one);
        return row;
      },
      update: updateRow,
    });
  }

  const saidOf = ({ item, flaws, isUnsaved }) => JSON.stringify([item, flaws, isUnsaved]);

  /** One dish that comes or goes gives all behind it another number: only that is written then. */
  function updateRow(row, one) {
    if (row.said === saidOf(one)) {
      fill(row.querySelector(".dish-number"), String(one.number));
      row.querySelector('[data-part="up"]').disabled = !one.canUp;
      row.querySelector('[data-part="down"]').disabled = !one.canDown;
      return;
    }
    const fresh = makeRow(one);
    row.said = saidOf(one);
    row.className = fresh.className;
    row.replaceChildren(...fresh.childNodes);
  }

  function makeRow({ item, number, flaws, isUnsaved, canUp, canDown }) {
    const called = label(item.name) || label(item.id);
    const button = (part, drawn, words, onclick, props) => h("button", { type: "button", class: "button quiet icon-only", "data-part": part, "aria-label": t(words, { name: called }), title: t(words, { name: called }), onclick, ...props }, sign(drawn));
    const cell = (kind, ...children) => h("td", { role: "cell", class: kind }, children);
    return h("tr", { role: "row", "data-dish": item.id, class: [isUnsaved && "unsaved", !item.available && "soldout"].filter(Boolean).join(" ") || null },
      cell("dish-number numbers muted", String(number)),
      cell("dish-what",
        h("button", { type: "button", class: "dish-name", "data-part": "name", "aria-label": t("menu.edit.of", { name: called }), onclick: () => edit(item) }, name(called)),
        isUnsaved && h("span", { class: "chip ask" }, t("menu.row.unsaved")),
        item.description && h("span", { class: "sub cut" }, name(item.description)),
        item.aliases?.length > 0 && h("span", { class: "sub cut" }, t("menu.row.aliases"), " ", name(item.aliases.join(", "))),
        flaws && h("span", { class: "dish-flaw" }, icon("alert"), Object.values(flaws).join(" "))),
      cell("dish-price numbers", amount(item.price)),
      cell("dish-there", h("button", { type: "button", class: "menu-switch", role: "switch", "aria-checked": String(item.available), "data-part": "switch", "aria-label": t("menu.switch", { name: called }), onclick: () => flip(item) },
        h("span", { class: "menu-switch-track", "aria-hidden": "true" }), h("span", null, t(item.available ? "menu.is_there" : "menu.is_out")))),
      cell("dish-actions", h("div", { class: "row" },
        button("up", "upward", "menu.up", () => move(item, -1), { disabled: !canUp }),
        button("down", "downward", "menu.down", () => move(item, 1), { disabled: !canDown }),
        button("remove", "trash", "menu.remove", () => remove(item)))));
  }

  function focus(id) {
    const row = find(id);
    row?.scrollIntoView({ block: "center" });
    row?.querySelector(".dish-name").focus({ preventScroll: true });
  }

  return { node, draw, focus, reveal: (id) => find(id)?.scrollIntoView({ block: "nearest" }) };
}
