// The box to answer: Enter sends, Shift with Enter begins a line, Escape leaves it.

import { fill, h } from "./dom.js";
import { summary } from "./content.js";
import { icon } from "./icons.js";
import { label, name } from "./text.js";
import { t } from "./words.js";

/** WhatsApp cuts longer ones off; the server counts bytes. */
const MOST_BYTES = 65_536;

export function composer({ send, leave }) {
  let quoted = null;
  const quote = h("div", { class: "quoting" });
  const hint = h("p", { class: "hidden-text", id: "composer-hint" }, t("composer.hint"));
  const box = h("textarea", { class: "input", id: "composer", rows: 1, dir: "auto", "aria-label": t("composer.label"), placeholder: t("composer.label"), "aria-describedby": "composer-hint" });
  const button = h("button", { type: "submit", class: "button primary icon-only", "aria-label": t("composer.send"), title: t("composer.send") }, icon("send"));
  const node = h("form", { class: "composer", "aria-label": t("composer.label") }, quote, h("div", { class: "composer-row" }, box, button), hint);

  function fit() {
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight + 2, 180)}px`;
  }

  function setQuote(message) {
    quoted = message;
    fill(quote, message && [
      h("div", { class: "cut" }, h("strong", null, message.fromMe ? t("message.yours") : name(label(message.pushName) || message.from)), " ", h("bdi", null, summary(message))),
      h("button", { type: "button", class: "button quiet icon-only small", "aria-label": t("composer.unquote"), onclick: () => { setQuote(null); box.focus(); } }, icon("cross")),
    ]);
  }

  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = box.value.trim();
    if (!text || box.disabled) return;
    const long = new TextEncoder().encode(text).length > MOST_BYTES;
    box.setCustomValidity(long ? t("composer.long") : "");
    if (long) return box.reportValidity();
    send(text, quoted);
    box.value = "";
    setQuote(null);
    fit();
    box.focus();
  });
  box.addEventListener("keydown", (event) => {
    // Enter also ends a word that an input method is composing.
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      node.requestSubmit();
    } else if (event.key === "Escape") {
      if (quoted) setQuote(null);
      else leave();
    }
  });
  box.addEventListener("input", () => {
    box.setCustomValidity("");
    fit();
  });

  return {
    node,
    quote(message) {
      setQuote(message);
      box.focus();
    },
    focus: () => box.focus(),
    /** A session that is not paired cannot send. */
    able(yes) {
      box.disabled = button.disabled = !yes;
      box.placeholder = t(yes ? "composer.label" : "composer.unpaired");
    },
  };
}
