// One order as a card: what is to be cooked, for whom, where it goes, how it is paid; and the button for its next step.

import { path } from "./api.js";
import { h } from "./dom.js";
import { action } from "./dialog.js";
import { address, phone, since } from "./format.js";
import { icon } from "./icons.js";
import { awaitsPayment, keyOf, NEXT, reachedAt } from "./kitchenorders.js";
import { label, name } from "./text.js";
import { language, t } from "./words.js";

const METHODS = new Set(["efectivo", "nequi", "daviplata", "transferencia", "tarjeta"]);
const PAYMENTS = { PENDING: "wait", CASH: "plain", PAID: "good" };
const SIGNS = { cocinando: "flame", listo: "check", entregado: "checks" };

/** Whole units of what prices are written in, with a mark between the thousands also where there are four digits. */
function amount(units) {
  return `$ ${new Intl.NumberFormat(language(), { useGrouping: "always" }).format(units)}`;
}

/** How the order is called: its number, and whose it is. */
export function called(order) {
  return t("kitchen.order", { id: order.id, name: label(order.cliente) || address(order.chatId) });
}

/**
 * A card. `does` has what can be done: `step(order)`, `menu(order)`, `print(order)`; and `seen(order)`, which hears that somebody touched it.
 * `isNew`: it is marked until then.
 */
export function card(order, { tenant, does, isNew }) {
  const next = NEXT[order.estado];
  const clock = h("span", { class: "order-clock" }, since(next ? order.timestamp : reachedAt(order)));
  const node = h("li", { class: "order", "data-order": order.id, "data-stage": order.estado, "data-key": keyOf(order) },
    h("article", { "aria-label": called(order), onclick: () => { touched(node); does.seen(order); } },
      h("header", null,
        h("h3", null, h("span", { class: "order-number numbers" }, `#${label(order.id)}`), name(order.cliente, { class: "order-name" })),
        clock),
      h("div", { class: "tags" },
        isNew && h("span", { class: "chip ask", "data-new": true }, t("kitchen.new")),
        !next && h("span", { class: `chip ${order.estado === "cancelado" ? "bad" : "good"}` }, t(`kitchen.stage.${order.estado}`)),
        awaitsPayment(order) && h("span", { class: "chip wait" }, t("kitchen.awaits_payment"))),
      h("ul", { class: "order-lines" }, order.items.map(line)),
      order.comentario && h("p", { class: "order-note" }, name(order.comentario)),
      where(order),
      money(order),
      h("div", { class: "order-does" },
        next && h("button", { type: "button", class: `button order-step${awaitsPayment(order) ? "" : " primary"}`, "data-do": "step", onclick: action(() => does.step(order)) }, icon(SIGNS[next]), t(`kitchen.do.${next}`)),
        h("a", { class: "button icon-only", "data-do": "talk", href: path`#/t/${tenant}/talk/${order.chatId}`, "aria-label": t("kitchen.talk_of", { id: order.id }), title: t("kitchen.talk") }, icon("chat")),
        h("button", { type: "button", class: "button icon-only", "data-do": "print", "aria-label": t("kitchen.print_of", { id: order.id }), title: t("kitchen.print"), onclick: action(() => does.print(order)) }, icon("print")),
        (next || awaitsPayment(order)) && h("button", { type: "button", class: "button icon-only", "data-do": "menu", "aria-haspopup": "dialog", "aria-label": t("kitchen.menu_of", { id: order.id }), title: t("kitchen.menu"), onclick: () => does.menu(order) }, icon("more")))));
  if (isNew) node.classList.add("is-new");
  node.tick = () => clock.replaceChildren(since(next ? order.timestamp : reachedAt(order)));
  return node;
}

/** The mark goes. */
function touched(node) {
  node.classList.remove("is-new");
  node.querySelector("[data-new]")?.remove();
}

function line({ cantidad, nombre, notas }) {
  return h("li", null,
    h("span", { class: "order-count numbers" }, `${cantidad} ×`), " ", name(nombre, { class: "order-dish" }),
    notas.length > 0 && h("ul", { class: "order-notes" }, notas.map((note) => h("li", null, name(note)))));
}

function where(order) {
  const number = phone(order.telefonoContacto || order.telefono);
  const { lat, lng } = order.ubicacion ?? {};
  return h("div", { class: "order-where" },
    h("p", null, icon(order.entrega === "recoger" ? "bag" : "place"), " ",
      order.entrega === "recoger" ? t("kitchen.pickup") : name(order.direccion)),
    order.ubicacion && h("p", null, h("a", { href: `https://www.google.com/maps?q=${Number(lat)},${Number(lng)}`, target: "_blank", rel: "noopener noreferrer" }, t("kitchen.map"))),
    number && h("p", null, h("a", { class: "numbers", href: `tel:${number}` }, number)));
}

function money(order) {
  const method = METHODS.has(order.metodoPago) ? t(`kitchen.method.${order.metodoPago}`) : null;
  return h("div", { class: "order-money" },
    h("strong", { class: "numbers" }, amount(order.total)),
    h("span", { class: "muted" }, method),
    !awaitsPayment(order) && order.estado !== "cancelado" && h("span", { class: `chip ${PAYMENTS[order.paymentStatus] ?? "plain"}` }, t(`kitchen.payment.${order.paymentStatus}`)));
}
