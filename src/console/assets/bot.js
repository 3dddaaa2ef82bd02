// The bot of a tenant: its menu, the restaurant's settings, and a place to try it. The address names the part: `#/t/{tenant}/bot/{part}`.

import { fill, h } from "./dom.js";
import { path } from "./api.js";
import { menuPart } from "./menu.js";
import { restaurantPart } from "./restaurant.js";
import { tryPart } from "./tryout.js";
import { t } from "./words.js";

const PARTS = { menu: menuPart, restaurant: restaurantPart, try: tryPart };

/** Each part is `{ node, close?, onevent? }`. */
export function botPart({ tenant, to }) {
  const place = h("div");
  const nav = h("nav", { class: "segments", "aria-label": t("bot.parts") });
  const node = h("div", { class: "page bot" }, nav, place);
  let current = null;
  let part = null;

  function draw(wanted) {
    if (wanted === current) return;
    part?.close?.();
    current = wanted;
    fill(nav, Object.keys(PARTS).map((name) => h("a", { href: path`#/t/${tenant}/bot/${name}`, "aria-current": name === wanted ? "page" : null }, t(`bot.${name}`))));
    part = PARTS[wanted]({ tenant });
    fill(place, part.node);
  }

  const named = (to) => (to.chat in PARTS ? to.chat : "menu");
  draw(named(to));
  return {
    node,
    update({ to }) { draw(named(to)); },
    onevent(event, payload) { part?.onevent?.(event, payload); },
    close() { part?.close?.(); },
  };
}
