// What tenants are called: by the directory's record, else by their id. What a phone calls itself at WhatsApp is the phone's word, and stands
// beside it.

import { label } from "./text.js";

/** By id, from the directory. */
const recorded = new Map();

/** What the directory's records say. */
export function learnNames(records) {
  for (const { id, name } of records) recorded.set(id, label(name));
}

export function nameOf(tenant) {
  return recorded.get(tenant) || tenant;
}

export function isNamed(tenant) {
  return recorded.has(tenant);
}
