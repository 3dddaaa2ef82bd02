// Foreign texts: what customers write, what they call themselves and their files. They stay texts, keep to their place whatever direction
// they run in, and only http and https become links.

import { h } from "./dom.js";
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

/** Words from the server, which speaks English. */
export function english(text, tag = "span", props) {
  return h(tag, { lang: "en", dir: "auto", ...props }, label(text));
}

/** What a person wrote: with its lines and its links, folded when it is long. */
export function written(text) {
  const whole = String(text ?? "");
  const box = h("div", { class: "written", dir: "auto" });
  if (whole.length <= FOLD) {
    box.append(...linked(whole));
    return box;
  }
  // Never between the halves of a character.
  const end = /[\ud800-\udbff]/.test(whole[SHOWN - 1]) ? SHOWN - 1 : SHOWN;
  const more = h("button", { type: "button", class: "button small", onclick: () => box.replaceChildren(...linked(whole)) }, t("message.whole", { n: whole.length }));
  box.append(...linked(whole.slice(0, end)), "…", h("div", null, more));
  return box;
}

/** Texts and links. A link shows what it leads to, since its words are its address. */
function linked(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"'`\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]+/giu)) {
    // A sentence's end is not the address's.
    const words = found[0].replace(/[.,;:!?)\]}»”’]+$/u, "");
    const url = URL.canParse(words) ? new URL(words) : null;
    if (!url || !["http:", "https:"].includes(url.protocol)) continue;
    nodes.push(text.slice(from, found.index));
    nodes.push(h("a", { href: url.href, rel: "noopener noreferrer nofollow", target: "_blank" }, words));
    from = found.index + words.length;
  }
  nodes.push(text.slice(from));
  return nodes.filter((node) => node !== "");
}

/** One or two letters for a name. */
export function initials(text) {
  const words = label(text).match(/[\p{L}\p{N}]+/gu) ?? [];
  const letters = words.slice(0, 2).map((word) => [...word][0]);
  return letters.join("").toUpperCase() || "#";
}
