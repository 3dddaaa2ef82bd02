// What the reader prefers: language and theme. Kept in this browser; nothing secret.

const NAMES = { theme: ["auto", "light", "dark"], language: ["en", "es"] };
const listeners = new Set();

function stored(name) {
  try {
    const value = localStorage.getItem(`sessiond.${name}`);
    return NAMES[name].includes(value) ? value : null;
  } catch {
    // A browser that keeps nothing.
    return null;
  }
}

function preferredLanguage() {
  const wished = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
  return wished.find((tag) => NAMES.language.includes(tag)) ?? "en";
}

const chosen = { theme: stored("theme") ?? "auto", language: stored("language") ?? preferredLanguage() };

export function preference(name) {
  return chosen[name];
}

/** The next of the values that there are. */
export function switchPreference(name) {
  const values = NAMES[name];
  chosen[name] = values[(values.indexOf(chosen[name]) + 1) % values.length];
  try {
    localStorage.setItem(`sessiond.${name}`, chosen[name]);
  } catch {
    // It holds until the page is closed.
  }
  apply();
  for (const listener of listeners) listener(name);
}

export function onPreference(listener) {
  listeners.add(listener);
}

export function apply() {
  const root = document.documentElement;
  root.lang = chosen.language;
  if (chosen.theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = chosen.theme;
}
