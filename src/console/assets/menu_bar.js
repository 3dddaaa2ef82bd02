// What of a menu is not saved yet, always in sight, and what to do with it.

import { fill, h } from "./dom.js";
import { action } from "./dialog.js";
import { icon } from "./icons.js";
import { t } from "./words.js";

export function unsavedBar({ save, undo, discard }) {
  const node = h("div", { class: "menu-bar", role: "region", "aria-label": t("menu.unsaved"), hidden: true });

  /** `step`: what Undo takes back, if there is something. */
  function draw({ added, changed, removed, moved }, step) {
    const counts = [["added", added.length], ["changed", changed.length], ["removed", removed.length]].filter(([, n]) => n > 0);
    const facts = [...counts.map(([kind, n]) => t(`menu.bar.${kind}`, { n })), ...(moved ? [t("menu.bar.moved")] : [])];
    const isUnsaved = facts.length > 0;
    const hadFocus = node.contains(document.activeElement);
    node.hidden = !isUnsaved && !step;
    fill(node,
      h("p", { role: "status" }, h("strong", null, t(isUnsaved ? "menu.unsaved" : "menu.nothing")), isUnsaved && ` ${facts.join(", ")}`),
      h("div", { class: "row" },
        step && h("button", { type: "button", class: "button", onclick: undo, title: step }, icon("reply"), t("menu.undo")),
        isUnsaved && h("button", { type: "button", class: "button", onclick: discard }, t("discard")),
        isUnsaved && h("button", { type: "button", class: "button primary", onclick: action(save) }, icon("check"), t("menu.save"))));
    if (hadFocus) node.querySelector("button")?.focus();
  }

  return { node, draw };
}
