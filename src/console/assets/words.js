// Words in the reader's language. A key that a language lacks falls back to English, and one that nobody knows shows itself.

import { preference } from "./prefs.js";
import en from "./words.en.js";
import es from "./words.es.js";

const WORDS = { en, es };

export function language() {
  return preference("language");
}

/** `{name}` in the words is replaced by what `values` has under that name. */
export function t(key, values) {
  const words = WORDS[language()][key] ?? en[key] ?? key;
  return values ? words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : words;
}

/** Whether there are words for this at all. */
export function has(key) {
  return key in en;
}

/** What the server says of a field, where we have words of our own for it. */
export function fieldWords(message) {
  const key = `server.${message}`;
  return key in en ? { text: t(key), lang: null } : { text: message, lang: "en" };
}

/** What the browser calls the page. */
export function pageTitle(place) {
  return `${place} · sessiond`;
}
