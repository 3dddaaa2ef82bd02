// A talk with the bot that touches no customer, beside what it understood.

import { h } from "./dom.js";
import { t } from "./words.js";

export function tryPart({ tenant }) {
  return { node: h("div", { class: "empty", "data-tenant": tenant }, h("p", null, t("tryout.text"))) };
}
