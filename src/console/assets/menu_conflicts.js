// Where somebody else has changed the same of a dish: each is shown with both, and the owner says which one counts.

import { h } from "./dom.js";
import { picker, show } from "./dialog.js";
import { amount } from "./menu_table.js";
import { label } from "./text.js";
import { t } from "./words.js";

/** Those of `conflicts` where ours counts; null: it was not decided. */
export async function settleConflicts(conflicts) {
  let chosen = null;
  const { closed } = show(t("menu.conflict.title"), (close, head) => {
    const rows = conflicts.map((one) => ({ one, picker: pickerOf(one) }));
    const decide = () => {
      chosen = rows.filter(({ picker }) => picker.input.value === "mine").map(({ one }) => one);
      close("decided");
    };
    return h("div", { class: "sheet" }, head, h("p", null, t("menu.conflict.text")),
      h("div", { class: "body-form menu-conflicts" }, rows.map(({ picker }) => picker.node)),
      h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
        h("button", { type: "button", class: "button primary", onclick: decide }, t("menu.conflict.do"))));
  }, { class: "wide" });
  await closed;
  return chosen;
}

function pickerOf({ name, field, mine, theirs }) {
  const isWhole = field === "removed" || field === "gone";
  const options = isWhole
    ? [["theirs", t(`menu.conflict.${field}.theirs`)], ["mine", t(`menu.conflict.${field}.mine`)]]
    : [["theirs", t("menu.conflict.theirs", { value: said(field, theirs) })], ["mine", t("menu.conflict.mine", { value: said(field, mine) })]];
  const what = isWhole ? label(name) : `${label(name)} · ${t(`menu.${field}`)}`;
  // What we changed of a dish that they removed is not thrown away by a click on the button alone.
  return picker({ label: what, options, value: field === "gone" ? "mine" : "theirs" });
}

function said(field, value) {
  if (field === "price") return amount(value);
  if (field === "available") return t(value ? "menu.is_there" : "menu.is_out");
  return label(Array.isArray(value) ? value.join(", ") : value).slice(0, 80) || "—";
}
