// Bringing an order and paying it.

import { box, count, flawed, line, panel } from "./restaurant_fields.js";
import { h } from "./dom.js";
import { t } from "./words.js";

const METHODS = ["efectivo", "nequi", "daviplata", "transferencia", "tarjeta"];
const MOST = 1_000_000_000_000;
const w = (key) => t(`restaurant.${key}`);

export function deliveryPart(settings) {
  const { deliveryTime: time, deliveryCost: costs } = settings;
  const least = count({ label: w("time.min"), names: ["deliveryTime.min", "deliveryTime"], value: time?.min, max: 1440, optional: true });
  const most = count({ label: w("time.max"), names: ["deliveryTime.max"], value: time?.max, max: 1440, optional: true });
  const amount = (name, value, names) => count({ label: w(name), hint: w(`${name}.hint`), names, value, max: MOST, optional: true });
  const cost = amount("cost", costs?.cost, ["deliveryCost.cost", "deliveryCost"]);
  const free = amount("free", costs?.freeDeliveryMin, ["deliveryCost.freeDeliveryMin"]);
  const minimum = amount("minimum", costs?.minimumOrder, ["deliveryCost.minimumOrder"]);
  // One of the two says nothing without the other.
  const paired = (one, other) => ({ ...one, flaw: () => one.flaw() ?? (one.read() === null && other.read() !== null ? "is required" : null) });
  const isEmpty = () => [cost, free, minimum].every((one) => one.read() === null);
  return {
    node: panel(w("delivery"), h("div", { class: "pair" }, least.node, most.node), h("div", { class: "pair" }, cost.node, free.node, minimum.node)),
    fields: [paired(least, most), paired(most, least), cost, free, minimum],
    read: () => ({
      deliveryTime: least.read() === null && most.read() === null ? null : { ...time, min: least.read(), max: most.read() },
      deliveryCost: isEmpty() ? null : { ...costs, cost: cost.read() ?? 0, freeDeliveryMin: free.read(), minimumOrder: minimum.read() },
    }),
  };
}

export function paymentPart(settings) {
  const prepays = [];
  const rows = METHODS.map((method) => {
    const takes = box({ label: w(`pay.${method}`), value: settings.paymentMethods.includes(method), onchange: () => dress() });
    const before = box({ label: w("prepay"), value: settings.prepayMethods.includes(method) });
    before.input.setAttribute("aria-label", `${w("prepay")}: ${w(`pay.${method}`)}`);
    const dress = () => { before.input.disabled = !takes.read(); };
    dress();
    prepays.push(before);
    return { method, takes, before, node: h("div", { class: "pay" }, takes.node, before.node) };
  });
  const methods = flawed(["paymentMethods", "prepayMethods"], rows[0].takes.input, [h("p", { class: "hint" }, w("payment.hint")), rows.map(({ node }) => node)]);
  const link = line({ label: w("link"), hint: w("link.hint"), names: ["paymentLink"], value: settings.paymentLink, type: "url", maxlength: 500, autocapitalize: "none", placeholder: "https://example.com/?ref={order}&amount={total}" });
  const chosen = (is) => rows.filter(is).map(({ method }) => method);
  return {
    node: panel(w("payment"), methods.node, link.node),
    fields: [methods, link],
    read: () => ({
      paymentMethods: chosen(({ takes }) => takes.read()),
      prepayMethods: chosen(({ takes, before }) => takes.read() && before.read()),
      paymentLink: link.read(),
    }),
  };
}
