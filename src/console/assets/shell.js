// The frame: where one is, where one can go, whether the line is up, and the switches.

import { signOut } from "./api.js";
import { fill, h, set } from "./dom.js";
import { icon } from "./icons.js";
import { listAddress } from "./place.js";
import { preference, switchPreference } from "./prefs.js";
import { t } from "./words.js";

export function brand() {
  return h("a", { class: "brand", href: "#/overview" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), h("span", { class: "wide-only" }, "sessiond"));
}

/** Theme and language. */
export function switches(...more) {
  const theme = h("button", { type: "button", class: "button quiet icon-only", onclick: () => { switchPreference("theme"); dress(); } });
  const dress = () => {
    const now = preference("theme");
    set(theme, { "aria-label": t(`theme.${now}`), title: t(`theme.${now}`) });
    fill(theme, icon(now));
  };
  dress();
  return h("div", { class: "switches" },
    theme,
    h("button", { type: "button", class: "button quiet", id: "switch-language", lang: t("language.other.code"), onclick: () => switchPreference("language") },
      h("span", { class: "wide-only" }, t("language.other")), h("span", { class: "narrow-only", "aria-hidden": "true" }, t("language.other.code").toUpperCase())),
    more);
}

/** The frame around `view`. `current` is the place in the navigation. */
export function shell(view, current) {
  const link = (name, href, words) => h("a", { href, "aria-current": current === name ? "page" : null }, words);
  const out = h("button", { type: "button", class: "button quiet", onclick: () => signOut() }, icon("out"), h("span", { class: "wide-only" }, t("signout")));
  const down = h("div", { class: "line-down", role: "status" });
  const main = h("main", { id: "main" }, view.node);
  const skip = () => {
    const target = main.querySelector("h1") ?? main;
    target.focus();
  };
  const nodes = [
    h("button", { type: "button", class: "button primary skip", onclick: skip }, t("skip")),
    h("header", { class: "bar" },
      brand(),
      h("nav", { "aria-label": t("nav.main") },
        link("overview", "#/overview", t("nav.overview")),
        // From elsewhere to the list as it was left; from the list itself to all of it.
        link("tenants", view.isList ? "#/" : listAddress(), t("nav.tenants")),
        link("keys", "#/keys", t("nav.keys")),
        h("a", { href: "../docs" }, t("nav.docs")),
        h("a", { href: "../docs/guide/" }, t("nav.guide"))),
      switches(out)),
    down,
    main,
  ];
  let shown = true;
  const online = (up) => {
    // Said once, when it changes.
    if (up !== shown) fill(down, !up && [icon("refresh"), t("line.down")]);
    shown = up;
  };
  return { nodes, online };
}
