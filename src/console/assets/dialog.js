// Dialogs, forms and short notices. A dialog is the browser's own, modal: it keeps the focus, closes by Escape and gives the focus back.

import { Problem } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { problemWords } from "./reasons.js";
import { fieldWords, t } from "./words.js";

let count = 0;

/** An id for an element that another one names. */
export function unique(prefix) {
  count += 1;
  return `${prefix}-${count}`;
}

/** Shows a dialog; gives it with a promise of its end. `build(close)` makes what is in it. */
export function show(title, build, props) {
  const id = unique("dialog");
  const dialog = h("dialog", { "aria-labelledby": id, ...props });
  const before = document.activeElement;
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      // The browser gives it back to what opened the dialog, if that is still there.
      if (document.activeElement === document.body) before?.focus?.();
      resolve(dialog.returnValue);
    });
  });
  const head = h("h2", { id }, title);
  // All else is out of reach while it is open, what is said for a moment too.
  dialog.append(build((value) => dialog.close(value), head), toasts());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, closed };
}

/** Whether the operator wants this. The careful answer is the one at hand. */
export async function confirm(title, text, action) {
  const { closed } = show(title, (close, head) =>
    h("div", { class: "sheet" }, head, h("p", null, text),
      h("div", { class: "row end" },
        h("button", { type: "button", class: "button", autofocus: true, onclick: () => close("") }, t("cancel")),
        h("button", { type: "button", class: "button danger", onclick: () => close("yes") }, action))));
  return (await closed) === "yes";
}

/** Which of these the operator wants, `[value, words]` each; empty: none. The careful answer is the one at hand. */
export async function choose(title, text, choices) {
  const { closed } = show(title, (close, head) =>
    h("div", { class: "sheet" }, head, h("p", null, text),
      h("div", { class: "row end" },
        h("button", { type: "button", class: "button", autofocus: true, onclick: () => close("") }, t("cancel")),
        choices.map(([value, words]) => h("button", { type: "button", class: "button danger", onclick: () => close(value) }, words)))));
  return closed;
}

/** A labelled input with room for what is wrong with it. `names`: what the server calls it. */
export function field({ label, hint, names, ...props }) {
  const id = unique("field");
  const input = h("input", { class: "input", id, autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": `${id}-hint ${id}-flaw`, ...props });
  const flaw = h("p", { class: "flaw", id: `${id}-flaw` });
  const tell = (text, lang) => {
    fill(flaw, text && h("span", { lang }, text));
    input.setAttribute("aria-invalid", text ? "true" : "false");
  };
  const node = h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: `${id}-hint` }, hint), flaw);
  return {
    node,
    input,
    names: names ?? [],
    /** What the server says. */
    say(message) {
      const { text, lang } = message ? fieldWords(message) : { text: "", lang: null };
      tell(text, lang);
    },
    /** What we say ourselves. */
    tell,
  };
}

/** A labelled choice of one of `options`, `[value, words]` each. */
export function picker({ id = unique("field"), label, options, value, onchange, ...props }) {
  const select = h("select", { class: "input", id, onchange: () => onchange?.(select.value), ...props }, options.map(([value, words]) => h("option", { value }, words)));
  if (value !== undefined) select.value = value;
  return {
    node: h("div", { class: "picker" }, h("label", { for: id }, label), select),
    input: select,
    choose(wanted) {
      if (select.value !== wanted) select.value = wanted;
    },
  };
}

/**
 * A form that asks the server: `submit()` may fail with a problem, whose errors go beside the fields that they name, and the rest above the
 * `foot`, which has the button. While it runs the form cannot be sent again.
 */
export function form({ fields, submit, children, foot, props }) {
  const general = h("div", { role: "alert" });
  const element = h("form", { novalidate: true, ...props }, children, general, foot);
  let busy = false;
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const button = element.querySelector("button[type=submit]");
    button?.setAttribute("aria-busy", "true");
    fill(general);
    for (const one of fields) one.say("");
    try {
      await submit();
    } catch (error) {
      complain(error, fields, general);
    } finally {
      busy = false;
      button?.removeAttribute("aria-busy");
    }
  });
  return element;
}

function complain(error, fields, general) {
  const unplaced = [];
  let first = null;
  for (const { field: named, message } of error.errors ?? []) {
    const place = fields.find((one) => one.names.includes(named));
    if (place) {
      // Inside of what is folded it would not be seen.
      place.input.closest("details")?.setAttribute("open", "");
      place.say(message);
      first ??= place.input;
    } else {
      unplaced.push(`${named}: ${message}`);
    }
  }
  if (first === null || unplaced.length > 0) fill(general, note("bad", unplaced.join("; ") || words(error)));
  first?.focus();
}

/** A failure in words. */
export function words(error) {
  if (!(error instanceof Problem)) console.error(error);
  return error instanceof Problem ? problemWords(error) : String(error?.message ?? error);
}

export function note(kind, ...children) {
  const signs = { bad: "alert", wait: "alert", good: "check" };
  return h("div", { class: `note ${kind}` }, signs[kind] && icon(signs[kind]), h("div", null, children));
}

/** Where toasts appear. */
export function toasts() {
  return h("div", { class: "toasts", role: "status" });
}

/** Says something for a moment, also to those who listen. */
export function toast(text) {
  const place = (document.querySelector("dialog[open]") ?? document).querySelector(".toasts");
  const one = h("p", { class: "toast" }, text);
  place.append(one);
  while (place.childElementCount > 2) place.firstChild.remove();
  setTimeout(() => one.remove(), 5000);
}

/** Runs what a button does, once at a time; a failure is said. */
export function action(work) {
  return async (event) => {
    const button = event.currentTarget;
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      toast(words(error));
    } finally {
      button.removeAttribute("aria-busy");
    }
  };
}

/** A text that can be copied. */
export function copyable(text, label) {
  const code = h("code", { "aria-label": label, tabindex: 0 }, text);
  const copy = async () => {
    // Browsers give the clipboard to pages of https and of this machine only; elsewhere the text is selected, for the reader's own keys.
    if (!navigator.clipboard) {
      code.focus();
      getSelection().selectAllChildren(code);
      return toast(t("copy.yourself"));
    }
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  };
  return h("div", { class: "secret" }, code,
    h("button", { type: "button", class: "button", onclick: action(copy) }, icon("copy"), t("copy")));
}
