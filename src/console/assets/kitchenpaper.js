// An order on paper: the daemon's text of it, looked at first, then printed alone by the browser.

import { get, path } from "./api.js";
import { show } from "./dialog.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./words.js";

export async function printOrder(tenant, order) {
  // As it is now, which may not be what the card has.
  const text = await (await get(path`api/${tenant}/bot/orders/${order.id}/text`, { raw: true })).text();
  show(t("kitchen.paper", { id: order.id }), (close, head) =>
    h("div", { class: "sheet" }, head,
      h("pre", { class: "paper-preview", tabindex: 0, role: "region", "aria-label": t("kitchen.paper", { id: order.id }) }, text),
      h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("close")),
        h("button", { type: "button", class: "button primary", autofocus: true, onclick: () => print(text) }, icon("print"), t("kitchen.print")))));
}

/** Nothing else of the page goes to the printer. */
function print(text) {
  const paper = h("pre", { class: "paper" }, text);
  const root = document.documentElement;
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    paper.remove();
  }, { once: true });
  document.body.append(paper);
  root.classList.add("printing");
  window.print();
}
