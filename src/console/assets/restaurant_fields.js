// Fields of the restaurant's form. A field is as the console's others, with `flaw()`: what is wrong with it before the server is asked.

import { field as plain, picker, unique } from "./dialog.js";
import { fill, h } from "./dom.js";
import { fieldWords, t } from "./words.js";

/** What the server says with values in it. */
const SAYINGS = [
  [/^it needs to be between (\d+) and (\d+)$/, ([, least, most]) => t("restaurant.flaw.range", { least, most })],
  [/^the time needs to be between (\d+) and (\d+) seconds$/, ([, least, most]) => t("restaurant.flaw.range", { least, most })],
  [/^a pause has (\d+) minutes at the most$/, ([, most]) => t("restaurant.flaw.range", { least: 0, most })],
  [/^\{(.+)\} is no placeholder of (?:this text|an answer)$/, ([, name]) => t("restaurant.flaw.placeholder", { name: `{${name}}` })],
  [/^the text needs \{(.+)\}$/, ([, name]) => t("restaurant.flaw.missing", { name: `{${name}}` })],
  [/^the text is longer than (\d+) characters$/, ([, most]) => t("restaurant.flaw.long", { most })],
  [/^(?:an|the) answer (?:needs 1 to|has) ([\d,]+) characters(?: at the most)?$/, ([, most]) => t("restaurant.flaw.answer", { most })],
  [/^"(.*)" is no time zone$/, () => t("restaurant.flaw.zone")],
  [/^the hours of .+ need times like 11:00$/, () => t("restaurant.flaw.hours")],
];

function sayingOf(message) {
  for (const [pattern, words] of SAYINGS) {
    const found = pattern.exec(message);
    if (found) return { text: words(found), lang: null };
  }
  return fieldWords(message.replace(/^the target /, ""));
}

/** Room for what is wrong, below any node. */
export function flawed(names, input, parts, props) {
  const id = unique("flaw");
  const place = h("p", { class: "flaw", id });
  input.setAttribute("aria-describedby", [input.getAttribute("aria-describedby"), id].filter(Boolean).join(" "));
  return {
    names, input,
    node: h("div", { class: "field", ...props }, parts, place),
    say(message) {
      const { text, lang } = message ? sayingOf(message) : { text: "", lang: null };
      fill(place, text && h("span", { lang }, text));
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    },
    flaw: () => null,
  };
}

/** One line. */
export function line({ required, ...props }) {
  const one = plain({ autocapitalize: "sentences", ...props });
  return {
    ...one,
    say(message) {
      const { text, lang } = message ? sayingOf(message) : { text: "", lang: null };
      one.tell(text, lang);
    },
    flaw: () => (required && one.input.value.trim() === "" ? "is required" : null),
    read: () => one.input.value.trim(),
  };
}

/** A whole number; `optional`: none is one, too. */
export function count({ value, optional, min = 0, max, ...props }) {
  const one = line({ type: "number", inputmode: "numeric", step: 1, min, max, value: value === null || value === undefined ? "" : String(value), ...props });
  const read = () => (one.input.value.trim() === "" ? null : Number(one.input.value));
  const flaw = () => {
    // What is no number at all reads as nothing.
    if (one.input.validity.badInput) return t("restaurant.flaw.whole");
    const number = read();
    if (number === null) return optional ? null : "is required";
    if (!Number.isInteger(number)) return t("restaurant.flaw.whole");
    return number < min || number > max ? t("restaurant.flaw.range", { least: min, most: max }) : null;
  };
  return { ...one, read, flaw };
}

/** Several lines. */
export function area({ label, hint, names, value, rows = 3, ...props }) {
  const id = unique("area");
  const input = h("textarea", { class: "input", id, rows, autocomplete: "off", "aria-describedby": hint ? `${id}-hint` : null, ...props });
  input.value = value ?? "";
  const one = flawed(names ?? [], input, [h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: `${id}-hint` }, hint)]);
  return { ...one, read: () => input.value };
}

/** Yes or no. */
export function box({ label, hint, names, value, onchange }) {
  const id = unique("box");
  const input = h("input", { type: "checkbox", id, checked: Boolean(value), "aria-describedby": hint ? `${id}-hint` : null, onchange: () => onchange?.(input.checked) });
  const one = flawed(names ?? [], input, [h("label", { class: "check", for: id }, input, h("span", null, label)), hint && h("p", { class: "hint", id: `${id}-hint` }, hint)]);
  return { ...one, read: () => input.checked };
}

/** One of several. */
export function choice({ label, names, value, options, onchange }) {
  const one = picker({ label, value, options, onchange });
  return { ...flawed(names ?? [], one.input, one.node), read: () => one.input.value };
}

/** A part of the form with its heading. */
export function panel(title, ...children) {
  const id = unique("part");
  return h("section", { class: "panel", "aria-labelledby": id }, h("header", null, h("h3", { id }, title)), h("div", { class: "body" }, children));
}
