// Puts the views together: who is signed in, which view the address names, and what stays when either changes.

import { isSignedIn, onSignOut } from "./api.js";
import { toasts } from "./dialog.js";
import { h } from "./dom.js";
import { keysView } from "./keys.js";
import { overviewView } from "./overview.js";
import { forgetPlace } from "./place.js";
import { apply, onPreference } from "./prefs.js";
import { shell } from "./shell.js";
import { signInView } from "./signin.js";
import { tenantView } from "./tenant.js";
import { tenantsView } from "./tenants.js";
import { pageTitle, t } from "./words.js";

const stage = h("div", { id: "stage" });

let view = null;
let frame = null;
let rejected = false;

/** What the address names: nothing or `#/overview`, `#/` (all tenants), `#/keys`, `#/t/{tenant}/{part}/{chat}`, each with a query that is the view's own. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [first, ...rest] = path.split("/").map(decoded);
  if (first === "overview" || location.hash === "") return { name: "overview", query };
  if (first === "keys") return { name: "keys", query };
  if (first === "t" && rest[0]) return { name: "tenant", tenant: rest[0], part: rest[1] || null, chat: rest[2] || null, query };
  return { name: "tenants", query };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function make(to) {
  const online = (up) => frame?.online(up);
  switch (to.name) {
    case "overview":
      return overviewView({ online });
    case "keys":
      return keysView();
    case "tenant":
      return tenantView(to, { online });
    default:
      return tenantsView(to, { online });
  }
}

/** Shows what the address names. `anew`: also when the view could just go on. */
function show(anew = false) {
  if (!isSignedIn()) {
    leave();
    view = signInView({ rejected, done: () => { rejected = false; show(); } });
    stage.replaceChildren(view.node);
    return settle();
  }
  const to = route();
  // The same view at another place of it: a tenant's other part or chat.
  if (!anew && view?.update?.(to)) return name();
  leave();
  view = make(to);
  frame = shell(view, to.name === "tenant" ? "tenants" : to.name);
  stage.replaceChildren(...frame.nodes);
  settle();
}

function leave() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  view?.close?.();
  view = null;
  frame = null;
}

/** Whoever goes by keyboard or by ear is taken along. */
function settle() {
  name();
  if (view.focus) view.focus();
  else stage.querySelector("h1")?.focus();
}

function name() {
  document.title = pageTitle(view.title);
}

onSignOut((wasRejected) => {
  rejected = wasRejected;
  // Whoever is signed out against his will comes back to where he was: the address still says it.
  forgetPlace();
  show();
});

onPreference((changed) => {
  // The theme is the style's alone.
  if (changed !== "language") return;
  const focused = document.activeElement?.id;
  show(true);
  if (focused) document.getElementById(focused)?.focus();
});

addEventListener("hashchange", () => show());

apply();
document.title = t("nav.overview");
document.body.append(stage, toasts());
show();
