// The menu that customers order from.

import { h } from "./dom.js";
import { t } from "./words.js";

export function menuPart({ tenant }) {
  return { node: h("div", { class: "empty", "data-tenant": tenant }, h("p", null, t("menu.none"))) };
}
