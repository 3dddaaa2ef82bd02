// One tenant: who it is and how it is, and below it the part that is looked at. Holds what the parts share: the session as it was told last,
// the line over which it changes, and the conversations, which go on while another part is looked at.

import { get, path } from "./api.js";
import { fill, h } from "./dom.js";
import { words } from "./dialog.js";
import { phone } from "./format.js";
import { icon } from "./icons.js";
import { follow } from "./live.js";
import { keysPart } from "./keys.js";
import { connectionPart } from "./pairing.js";
import { Talk } from "./talk.js";
import { chip, numberOf, reasonOf } from "./tenants.js";
import { name } from "./text.js";
import { talkPart } from "./chats.js";
import { t } from "./words.js";
import { webhooksPart } from "./webhooks.js";

/** What does not come over the line (heartbeats, for one) is asked for now and then. */
const EVERY_MS = 15_000;

const PARTS = { talk: talkPart, connection: connectionPart, webhooks: webhooksPart, keys: keysPart };

export function tenantView(to, { online }) {
  const tenant = to.tenant;
  const talk = new Talk(tenant);
  let session = null;
  let part = null;
  let closed = false;
  let timer = null;
  let asking = null;
  let again = false;

  const state = h("div", { class: "how", role: "status" });
  const head = h("div", { class: "who" },
    h("a", { class: "button quiet icon-only", href: "#/", "aria-label": t("tenant.back"), title: t("tenant.back") }, icon("back")),
    h("h1", { tabindex: -1 }, name(tenant)),
    state);
  const tabs = h("nav", { class: "tabs", "aria-label": t("tenant.parts") });
  const place = h("div", { class: "part" });
  const node = h("div", { class: "tenant" }, h("header", null, head, tabs), place);

  const live = follow(tenant, {
    online,
    onregistered(resumed) {
      look();
      // A thread may have been read, and its cursor been known, before the line was up for the first time.
      if (!resumed || talk.chats === null) talk.reload();
    },
    onevent(event, payload) {
      if (event === "events:gap") talk.reload();
      else if (event.startsWith("message:")) talk.happened(event, payload);
      else if (event === "connection:status" || event === "qr:updated") look();
      part?.onevent?.(event, payload);
    },
  });
  talk.onseen = live.saw;

  /** Asks how it is; once more when something happened meanwhile. */
  function look() {
    if (asking) {
      again = true;
      return asking;
    }
    asking = ask().finally(() => {
      asking = null;
      if (again && !closed) {
        again = false;
        look();
      }
    });
    return asking;
  }

  async function ask() {
    clearTimeout(timer);
    try {
      session = await get(path`api/sessions/${tenant}`);
    } catch (problem) {
      if (closed) return;
      // Not there, or no name that a tenant could have.
      if (problem.status === 404 || problem.status === 400) return missing(problem);
      if (session === null) fill(place, h("div", { class: "empty" }, icon("alert"), h("p", null, words(problem))));
    }
    if (closed) return;
    if (session) draw();
    timer = setTimeout(look, EVERY_MS);
  }

  function missing(problem) {
    live.close();
    part?.close?.();
    part = null;
    fill(place, h("div", { class: "empty" }, icon("none"), h("p", null, words(problem)), h("a", { href: "#/" }, t("tenant.back"))));
  }

  function draw() {
    drawHead();
    const wanted = to.part in PARTS ? to.part : session.paired ? "talk" : "connection";
    for (const link of tabs.children) {
      if (link.dataset.part === wanted) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (part?.name !== wanted) {
      part?.close?.();
      part = { name: wanted, ...PARTS[wanted]({ tenant, talk, session, look, to }) };
      fill(place, part.node);
    } else {
      part.update?.({ session, to });
    }
  }

  function drawHead() {
    const number = phone(numberOf(session));
    fill(state,
      chip(session),
      number && h("span", { class: "numbers muted" }, number),
      session.me?.pushName && name(session.me.pushName, { class: "muted" }),
      reasonOf(session, "p"));
  }

  fill(tabs, Object.keys(PARTS).map((name) => h("a", { href: path`#/t/${tenant}/${name}`, "data-part": name }, t(`tenant.${name}`))));
  fill(place, h("div", { class: "empty" }, h("p", { role: "status" }, t("loading"))));
  look();

  return {
    title: tenant,
    node,
    update(next) {
      if (next.name !== "tenant" || next.tenant !== tenant) return false;
      to = next;
      if (session) draw();
      return true;
    },
    close() {
      closed = true;
      clearTimeout(timer);
      part?.close?.();
      live.close();
      talk.close();
    },
  };
}
