// What customers call a dish, learnt from a word that the bot did not know.

import { getTagged, path, putTagged } from "./api.js";
import { words } from "./dialog.js";
import { flawsOf } from "./menu_merge.js";
import { folded } from "./menu_reading.js";
import { label } from "./text.js";
import { t } from "./words.js";

/** How often somebody else may be faster. */
const TRIES = 4;
const MOST_ALIASES = 50;
const ENOUGH = 0.34;

/** The dishes whose names, or other names, are most like a word. */
export function nearest(word, items, most = 3) {
  const wanted = pairsOf(word);
  const scored = items.map((item) => ({ item, score: Math.max(...[item.name, ...(item.aliases ?? [])].map((one) => likeness(wanted, pairsOf(one)))) }));
  return scored.filter(({ score }) => score >= ENOUGH).sort((one, other) => other.score - one.score).slice(0, most).map(({ item }) => item);
}

/** Letters in pairs, word by word. */
function pairsOf(text) {
  return new Set(folded(text).split(" ").flatMap((word) => [...` ${word} `].map((letter, at, all) => letter + (all[at + 1] ?? "")).slice(0, -1)));
}

function likeness(one, other) {
  const shared = [...one].filter((pair) => other.has(pair)).length;
  return (2 * shared) / (one.size + other.size || 1);
}

/**
 * Saves `word` as another name of the dish with this id, on the menu as it is by now: `{ name }`, what the dish is called; or `{ flaw }`, in
 * words, and nothing is changed.
 */
export async function taught(tenant, word, id) {
  const address = path`api/${tenant}/bot/menu`;
  for (let tries = 1; ; tries += 1) {
    try {
      const { value, tag } = await getTagged(address);
      const dish = value.items.find((item) => item.id === id);
      const flaw = flawIn(value.items, dish, word);
      if (flaw) return { flaw };
      const isKnown = namesOf(dish).includes(folded(word));
      const next = { ...dish, aliases: [...(dish.aliases ?? []), label(word)] };
      if (!isKnown) await putTagged(address, { ...value, items: value.items.map((item) => (item === dish ? next : item)) }, tag);
      return { name: dish.name };
    } catch (problem) {
      if (problem.code !== "wrong_version" || tries === TRIES) return { flaw: words(problem) };
    }
  }
}

const namesOf = (item) => [item.name, ...(item.aliases ?? [])].map(folded);

function flawIn(items, dish, word) {
  if (!dish) return t("tryout.flaw.gone");
  const other = items.find((item) => item !== dish && namesOf(item).includes(folded(word)));
  if (other) return t("tryout.flaw.taken", { word: label(word), name: label(other.name) });
  const aliases = [...(dish.aliases ?? []), label(word)];
  if (aliases.length > MOST_ALIASES) return t("tryout.flaw.full", { name: label(dish.name), most: MOST_ALIASES });
  return flawsOf({ ...dish, aliases }).includes("aliases") ? t("menu.flaw.aliases") : null;
}
