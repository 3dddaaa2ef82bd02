// What the bot understood of a text: what is wanted, the order in the menu's words and prices, and what it did not understand.

import { action, picker } from "./dialog.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { amount } from "./menu_table.js";
import { label, name } from "./text.js";
import { nearest } from "./tryout_teach.js";
import { t } from "./words.js";

const INTENTS = ["order", "greeting", "menu", "hours", "price", "status", "cancel", "human", "thanks", "address", "confirm", "deny"];
const METHODS = ["efectivo", "nequi", "daviplata", "transferencia", "tarjeta"];

/** `teach(word, id)`: that dish is called so as well. */
export function understood({ intent, cart, unknown, ambiguous, address, payment }, items, { teach }) {
  const dishes = new Map(items.map((item) => [item.id, item]));
  const called = (id) => (dishes.has(id) ? name(dishes.get(id).name) : h("code", null, id));
  return [
    h("dl", { class: "facts" },
      h("dt", null, t("tryout.intent")), h("dd", null, t(`tryout.intent.${INTENTS.includes(intent) ? intent : "other"}`)),
      address && [h("dt", null, t("tryout.address")), h("dd", null, name(address))],
      payment && [h("dt", null, t("tryout.payment")), h("dd", null, METHODS.includes(payment) ? t(`restaurant.pay.${payment}`) : name(payment))]),
    cart.length > 0 && basket(cart, dishes, called),
    ambiguous.length > 0 && h("section", null, h("h4", null, t("tryout.ambiguous")), h("ul", { class: "tryout-list" }, ambiguous.map((wish) => wishOf(wish, called)))),
    unknown.length > 0 && h("section", null, h("h4", null, t("tryout.unknown")), unknown.map((word) => lesson(word, items, teach))),
    cart.length + ambiguous.length + unknown.length === 0 && h("p", { class: "muted" }, t("tryout.no_dish")),
  ];
}

function notesOf(notes) {
  return notes?.length > 0 && h("span", { class: "tryout-notes" }, name(notes.join(", ")));
}

function basket(cart, dishes, called) {
  const prices = cart.map(({ item, qty }) => (dishes.has(item) ? dishes.get(item).price * qty : null));
  // Of a dish that is not on the menu any more nobody knows the price.
  const total = prices.includes(null) ? null : prices.reduce((sum, price) => sum + price, 0);
  return h("section", null, h("h4", null, t("tryout.order")),
    h("table", { class: "tryout-order" },
      h("thead", { class: "hidden-text" }, h("tr", null, ["quantity", "dish", "amount"].map((one) => h("th", { scope: "col" }, t(`tryout.${one}`))))),
      h("tbody", null, cart.map(({ item, qty, note }, at) => h("tr", null,
        h("td", { class: "numbers" }, `${qty} ×`),
        h("td", null, called(item), notesOf(note)),
        h("td", { class: "numbers" }, prices[at] === null ? t("tryout.gone") : amount(prices[at]))))),
      total !== null && h("tfoot", null, h("tr", null, h("th", { scope: "row", colspan: 2 }, t("tryout.total")), h("td", { class: "numbers" }, amount(total))))));
}

function wishOf({ candidates, qty, note, asks_number: asksNumber }, called) {
  const names = candidates.map((id, at) => [at > 0 && " / ", called(id)]);
  if (asksNumber) return h("li", null, t("tryout.how_many"), " ", names, notesOf(note));
  return h("li", null, h("span", { class: "numbers" }, `${qty} × `), names, notesOf(note));
}

/** The dishes that are nearest to a word come first. */
function lesson(word, items, teach) {
  const near = nearest(word, items);
  const rest = items.filter((item) => !near.includes(item));
  const choice = picker({ label: t("tryout.means"), options: [["", t("tryout.choose")], ...[...near, ...rest].map((item) => [item.id, label(item.name)])], value: near[0]?.id ?? "" });
  choice.input.setAttribute("aria-label", t("tryout.means.word", { word: label(word) }));
  const learn = async () => {
    if (!choice.input.value) return choice.input.focus();
    await teach(word, choice.input.value);
  };
  return h("div", { class: "tryout-lesson" },
    h("p", null, "«", name(word, { class: "tryout-word" }), "»"),
    near.length > 0 && h("p", { class: "muted small" }, t("tryout.near"), " ", near.map((item, at) => [at > 0 && ", ", name(item.name)])),
    items.length > 0 && h("div", { class: "row" }, choice.node, h("button", { type: "button", class: "button", onclick: action(learn) }, icon("plus"), t("tryout.teach"))));
}
