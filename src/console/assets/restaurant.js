// The restaurant's settings: switches, hours, costs, texts.

import { h } from "./dom.js";
import { t } from "./words.js";

export function restaurantPart({ tenant }) {
  return { node: h("div", { class: "empty", "data-tenant": tenant }, h("p", null, t("restaurant.saved"))) };
}
