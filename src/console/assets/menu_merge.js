// What becomes of a menu: dishes put into it by name, somebody else's changes under ours, dishes and categories moved, what is wrong with a
// dish. Pure. A dish keeps its id whatever happens to it, since baskets hold ids.

import { folded, idFor, MOST_DISHES, MOST_PRICE } from "./menu_reading.js";

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const fieldsOf = (...items) => [...new Set(items.flatMap((item) => Object.keys(item ?? {})))].filter((field) => field !== "id");
/** A list that is left out is an empty one. */
const valueOf = (item, field) => item?.[field] ?? (field === "aliases" ? [] : field === "available" ? true : "");
const differ = (one, other, field) => !isSame(valueOf(one, field), valueOf(other, field));
const chars = (text) => [...text].length;
const isName = (text) => chars(text) <= 200 && /\p{L}/u.test(text);

/** What the daemon would refuse of a dish: names of fields. */
export function flawsOf({ name, price, description = "", aliases = [] }) {
  return [
    !isName(name) && "name",
    !(Number.isInteger(price) && price >= 0 && price <= MOST_PRICE) && "price",
    chars(description) > 2000 && "description",
    !(aliases.length <= 50 && aliases.every(isName)) && "aliases",
  ].filter(Boolean);
}

export const isTooLong = (items) => items.length > MOST_DISHES;

/** By id: the dishes that are new, changed, gone; and whether the order is another one. */
export function differences(base, items) {
  const known = new Map(base.map((item) => [item.id, item]));
  const now = new Set(items.map(({ id }) => id));
  const added = items.filter(({ id }) => !known.has(id)).map(({ id }) => id);
  const changed = items.filter((item) => known.has(item.id) && fieldsOf(item, known.get(item.id)).some((field) => differ(item, known.get(item.id), field))).map(({ id }) => id);
  const removed = base.filter(({ id }) => !now.has(id));
  return { added, changed, removed, moved: !isSame(order(base, now), order(items, new Set(known.keys()))) };
}

const order = (items, among) => items.map(({ id }) => id).filter((id) => among.has(id));

/** With a dish where it belongs: behind the last of its category. */
export function placed(items, item) {
  const at = items.findLastIndex(({ category }) => category === item.category);
  return at < 0 ? [...items, item] : [...items.slice(0, at + 1), item, ...items.slice(at + 1)];
}

/** With a changed dish; in another category it goes behind the last one there. */
export function changed(items, item) {
  const before = items.find(({ id }) => id === item.id);
  if (before?.category === item.category) return items.map((one) => (one.id === item.id ? item : one));
  return placed(items.filter(({ id }) => id !== item.id), item);
}

/** With a dish a step further among those of its category; the same list where there is no room. */
export function moved(items, id, step) {
  const from = items.findIndex((item) => item.id === id);
  let to = from + step;
  while (items[to] && items[to].category !== items[from].category) to += step;
  if (!items[to]) return items;
  const next = [...items];
  [next[from], next[to]] = [next[to], next[from]];
  return next;
}

/** The categories in the order in which customers see them, each with its dishes. */
export function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(item.category, [...(groups.get(item.category) ?? []), item]);
  return [...groups].map(([category, items]) => ({ category, items }));
}

/** With a category a step further. */
export function movedCategory(items, category, step) {
  const groups = grouped(items);
  const from = groups.findIndex((group) => group.category === category);
  if (!groups[from + step]) return items;
  [groups[from], groups[from + step]] = [groups[from + step], groups[from]];
  return groups.flatMap(({ items }) => items);
}

/**
 * Dishes that were read put into a menu, by id where they have one, else by name. `replaces`: what they do not name goes. Gives the `items`
 * and, by dish, what it does: `new`, `changed` (`before`, `after`), `same`, or `several` where more than one dish has the name.
 */
export function putIn(items, dishes, { replaces = false } = {}) {
  const find = finder(items, dishes);
  const spelled = new Map(items.map(({ category }) => [folded(category), category]));
  const taken = new Set(items.map(({ id }) => id));
  const used = new Set();
  let next = replaces ? [] : items;
  const effects = dishes.map((dish) => {
    const before = find(dish, used);
    if (before === "several") return { kind: "several", dish };
    if (!spelled.has(folded(dish.category))) spelled.set(folded(dish.category), dish.category);
    const category = dish.category ? spelled.get(folded(dish.category)) : before?.category ?? "";
    const after = before ? over(before, { ...dish, category }) : made({ ...dish, category }, taken);
    used.add(after.id);
    taken.add(after.id);
    if (replaces) next = [...next, after];
    else next = before ? changed(next, after) : placed(next, after);
    const kind = !before ? "new" : fieldsOf(before, after).some((field) => differ(before, after, field)) ? "changed" : "same";
    return { kind, dish, before: before ?? null, after };
  });
  const removed = replaces ? items.filter(({ id }) => !used.has(id)) : [];
  return { items: next, effects, removed };
}

const sameDish = ({ name, category }) => `${folded(name)}\n${folded(category)}`;

function finder(items, dishes) {
  // The same name in another category is another dish where the list has both.
  const meant = new Set(dishes.map(sameDish));
  const ids = new Map(items.map((item) => [item.id, item]));
  const names = new Map();
  for (const item of items) names.set(folded(item.name), [...(names.get(folded(item.name)) ?? []), item]);
  return (dish, used) => {
    const named = (names.get(folded(dish.name)) ?? []).filter(({ id }) => !used.has(id));
    const known = dish.id === undefined ? null : ids.get(dish.id);
    if (known && !used.has(known.id)) return known;
    const exact = named.filter(({ category }) => folded(category) === folded(dish.category));
    if (exact.length === 1) return exact[0];
    const free = named.filter((item) => !meant.has(sameDish(item)));
    return free.length > 1 ? "several" : free[0] ?? null;
  };
}

/** What a list of dishes knows goes over what was there; the rest stays. */
function over(before, dish) {
  const aliases = [...(before.aliases ?? [])];
  for (const alias of dish.aliases ?? []) if (!aliases.some((known) => folded(known) === folded(alias))) aliases.push(alias);
  return tidy({
    ...before,
    name: folded(dish.name) === folded(before.name) ? before.name : dish.name,
    price: dish.price,
    category: dish.category,
    description: dish.description || before.description,
    available: dish.available ?? before.available,
    aliases,
  });
}

function made(dish, taken) {
  const id = dish.id !== undefined && !taken.has(dish.id) ? dish.id : idFor(dish.name, taken);
  return tidy({ id, name: dish.name, price: dish.price, category: dish.category, description: dish.description ?? "", available: dish.available ?? true, aliases: dish.aliases });
}

/** Without a list that is empty: the daemon leaves it out too. */
export function tidy(item) {
  const { aliases, ...rest } = item;
  return aliases?.length > 0 ? { ...rest, aliases } : rest;
}

/**
 * Our changes of `base` made again on `theirs`, which somebody else has made of it. Gives `items`, and `conflicts` where both changed the same:
 * `{ id, name, field, mine, theirs }`. There `items` has theirs, but a dish that they removed and we changed stays.
 */
export function rebased(base, mine, theirs) {
  const [was, ours, now] = [base, mine, theirs].map((items) => new Map(items.map((item) => [item.id, item])));
  const conflicts = [];
  const renamed = new Map();
  const result = new Map();
  for (const item of theirs) {
    const [before, own] = [was.get(item.id), ours.get(item.id)];
    if (before && !own) {
      // We removed it: unless they have changed it since, it goes.
      if (fieldsOf(before, item).some((field) => differ(before, item, field))) {
        conflicts.push({ id: item.id, name: item.name, field: "removed", mine: null, theirs: item });
        result.set(item.id, item);
      }
    } else if (!before && own && folded(own.name) !== folded(item.name)) {
      renamed.set(own.id, idFor(own.name, new Set([...now.keys(), ...ours.keys()])));
      result.set(item.id, item);
    } else {
      result.set(item.id, own ? joined(before ?? {}, own, item, conflicts) : item);
    }
  }
  for (const item of mine) {
    const id = renamed.get(item.id) ?? item.id;
    const before = was.get(item.id);
    if (result.has(id) || (now.has(id) && !renamed.has(item.id))) continue;
    const touched = !before || fieldsOf(before, item).some((field) => differ(before, item, field));
    if (!touched) continue;
    if (before) conflicts.push({ id, name: item.name, field: "gone", mine: item, theirs: null });
    result.set(id, { ...item, id });
  }
  const common = new Set([...was.keys()].filter((id) => ours.has(id) && now.has(id)));
  const named = mine.map((item) => renamed.get(item.id) ?? item.id);
  const there = theirs.map(({ id }) => id);
  const ids = isSame(order(base, common), order(theirs, common)) ? woven(named, there) : woven(there, named);
  return { items: ids.filter((id) => result.has(id)).map((id) => result.get(id)), conflicts };
}

function joined(before, own, item, conflicts) {
  const next = { ...item };
  for (const field of fieldsOf(before, own, item)) {
    if (!differ(before, own, field) || !differ(own, item, field)) continue;
    if (differ(before, item, field)) conflicts.push({ id: item.id, name: item.name, field, mine: valueOf(own, field), theirs: valueOf(item, field) });
    else next[field] = valueOf(own, field);
  }
  return tidy(next);
}

/** `first`, and what only `second` has behind what it stands behind there. */
function woven(first, second) {
  const ids = [...first];
  const there = new Set(first);
  second.forEach((id, n) => {
    if (there.has(id)) return;
    ids.splice(n === 0 ? 0 : ids.indexOf(second[n - 1]) + 1, 0, id);
    there.add(id);
  });
  return ids;
}

/** `items` with our side of these conflicts. */
export function insisted(items, conflicts) {
  return conflicts.reduce((items, { id, field, mine }) => {
    if (field === "removed") return items.filter((item) => item.id !== id);
    if (field === "gone") return items;
    const item = items.find((one) => one.id === id);
    return item ? changed(items, tidy({ ...item, [field]: mine })) : items;
  }, items);
}

/** `items` with their side of these conflicts: only a dish that they removed is not so yet. */
export function yielded(items, conflicts) {
  const gone = new Set(conflicts.filter(({ field }) => field === "gone").map(({ id }) => id));
  return items.filter(({ id }) => !gone.has(id));
}
