// Orders as a board: what is new, what is cooked, what is ready.

import { h } from "./dom.js";
import { t } from "./words.js";

export function kitchenPart({ tenant }) {
  return { node: h("div", { class: "empty", "data-tenant": tenant }, h("p", null, t("kitchen.none"))) };
}
