// Foreign texts: what customers write, what they call themselves and their files. They stay texts, keep to their place whatever direction
// they run in.

import { h } from "./dom.js";
import { marked } from "./marks.js";
import { reasonWords } from "./reasons.js";
import { t } from "./words.js";

/** Characters that steer the direction of text, and other invisible ones: in a name they serve only to deceive. */
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Longer texts are folded. */
const FOLD = 1500;
const SHOWN = 1000;

/** A name on one line. */
export function label(text) {
  return String(text ?? "").replace(STEERING, " ").replace(/\s+/g, " ").trim();
}

/** A name, kept apart from what stands around it. */
export function name(text, props) {
  return h("bdi", props, label(text));
}

/** Words from the server, which speaks English: in the reader's language as far as they are known. */
export function serverWords(said, tag = "span", props) {
  const { text, lang } = reasonWords(label(said));
  return h(tag, { lang, dir: "auto", ...props }, text);
}

/** What a person wrote: with its lines, its links and its bold words, folded when it is long. */
export function written(text) {
  const whole = String(text ?? "");
  const box = h("div", { class: "written", dir: "auto" });
  if (whole.length <= FOLD) {
    box.append(...marked(whole));
    return box;
  }
  // Never between the halves of a character.
  const end = /[\ud800-\udbff]/.test(whole[SHOWN - 1]) ? SHOWN - 1 : SHOWN;
  const more = h("button", { type: "button", class: "button small", onclick: () => box.replaceChildren(...marked(whole)) }, t("message.whole", { n: whole.length }));
  box.append(...marked(whole.slice(0, end)), "…", h("div", null, more));
  return box;
}

/** One or two letters for a name. */
export function initials(text) {
  const words = label(text).match(/[\p{L}\p{N}]+/gu) ?? [];
  const letters = words.slice(0, 2).map((word) => [...word][0]);
  return letters.join("").toUpperCase() || "#";
}
