// What the daemon says in English of a session, a delivery or a failure, in the reader's language. What nobody has translated stays English,
// and is marked as such for those who listen.

import es from "./reasons.es.js";
import { has, language, t } from "./words.js";

const LANGUAGES = { es: es.map(([said, words]) => ({ pattern: pattern(said), words })) };

/** How deep a reason may stand in another one. */
const DEEPEST = 3;

/** A sentence with `{name}` where a value stands. */
function pattern(said) {
  const parts = said.split(/\{(\w+)\}/).map((part, n) => (n % 2 ? `(?<${part}>.+)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  return new RegExp(`^${parts.join("")}$`, "s");
}

/** In words, with the language that they are in where that is not the page's. */
export function reasonWords(said, depth = 0) {
  const known = LANGUAGES[language()];
  if (!known || said === "") return { text: said, lang: null };
  for (const { pattern, words } of known) {
    const found = pattern.exec(said);
    if (!found) continue;
    const value = (name) => {
      const given = found.groups?.[name] ?? "";
      return name === "reason" && depth < DEEPEST ? reasonWords(given, depth + 1).text : given;
    };
    return { text: words.replace(/\{(\w+)\}/g, (_, name) => value(name)), lang: null };
  }
  return { text: said, lang: "en" };
}

/** Problems of which the code says little without the detail. */
const DETAILED = new Set(["session_failed", "refused", "refused_by_whatsapp", "file_unavailable", "not_in_channels"]);

/** A failed request, in words. */
export function problemWords(problem) {
  const known = `problem.${problem.code}`;
  if (!has(known)) return reasonWords(problem.message).text;
  return DETAILED.has(problem.code) && problem.detail ? `${t(known)} ${reasonWords(problem.detail).text}` : t(known);
}
