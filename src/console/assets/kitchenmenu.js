// What is seldom done with an order, and is asked again before it is: it is paid, it is cancelled.

import { show } from "./dialog.js";
import { h } from "./dom.js";
import { called } from "./kitchencard.js";
import { awaitsPayment, NEXT } from "./kitchenorders.js";
import { t } from "./words.js";

/** What the kitchen wants to do with the order: "paid", "cancelado", or nothing. It has been asked twice. */
export async function chooseOf(order) {
  const choices = [
    awaitsPayment(order) && ["paid", "primary"],
    order.estado in NEXT && ["cancelado", "danger"],
  ].filter(Boolean);
  const wish = await ask(called(order), null, t("close"), choices.map(([value, kind]) => [value, t(`kitchen.menu.${value}`), kind]));
  if (!wish) return "";
  const kind = wish === "paid" ? "primary" : "danger";
  const sure = await ask(t(`kitchen.sure.${wish}`, { id: order.id }), t(`kitchen.sure.${wish}.text`), t("kitchen.sure.no"), [[wish, t(`kitchen.sure.${wish}.yes`), kind]]);
  return sure;
}

/** Large buttons, one below the other; the careful answer is the one at hand. */
async function ask(title, text, no, choices) {
  const { closed } = show(title, (close, head) =>
    h("div", { class: "sheet order-menu" }, head, text && h("p", null, text),
      choices.map(([value, words, kind]) => h("button", { type: "button", class: `button ${kind}`, onclick: () => close(value) }, words)),
      h("button", { type: "button", class: "button", autofocus: true, onclick: () => close("") }, no)));
  return closed;
}
