// One tenant: who it is and how it is, and below it the part that is looked at. Holds what the parts share: the session as it was told last,
// the line over which it changes, and the conversations and what the bot does in them, which go on while another part is looked at.

import { get, path } from "./api.js";
import { botPart } from "./bot.js";
import { BotChats } from "./bot_chats.js";
import { fill, h } from "./dom.js";
import { toast, words } from "./dialog.js";
import { address, phone } from "./format.js";
import { icon } from "./icons.js";
import { follow } from "./live.js";
import { keysPart } from "./keys.js";
import { kitchenPart } from "./kitchen.js";
import { isNamed, learnNames, nameOf } from "./names.js";
import { numberOf } from "./order.js";
import { connectionPart } from "./pairing.js";
import { leaving, listAddress } from "./place.js";
import { Talk } from "./talk.js";
import { chip, reasonOf } from "./tenants.js";
import { label, name } from "./text.js";
import { talkPart } from "./chats.js";
import { pageTitle, t } from "./words.js";
import { webhooksPart } from "./webhooks.js";

/** What does not come over the line (heartbeats, for one) is asked for now and then. */
const EVERY_MS = 15_000;

const PARTS = { talk: talkPart, orders: kitchenPart, bot: botPart, connection: connectionPart, webhooks: webhooksPart, keys: keysPart };

export function tenantView(to, { online }) {
  const tenant = to.tenant;
  const talk = new Talk(tenant);
  const bots = new BotChats(tenant);
  let session = null;
  let part = null;
  let closed = false;
  let timer = null;
  let asking = null;
  let again = false;
  let shown = null;
  let named = isNamed(tenant);
  /** Since when there is no line. */
  let downSince = null;

  const state = h("div", { class: "how", role: "status" });
  const title = h("h1", { tabindex: -1 }, name(nameOf(tenant)));
  const head = h("div", { class: "who" },
    h("a", { class: "button quiet icon-only", href: listAddress(), "aria-label": t("tenant.back"), title: t("tenant.back") }, icon("back")),
    title,
    state);
  const tabs = h("nav", { class: "tabs", "aria-label": t("tenant.parts") });
  const place = h("div", { class: "part" });
  const node = h("div", { class: "tenant" }, h("header", null, head, tabs), place);

  const live = follow(tenant, {
    online(up) {
      online(up);
      // Every attempt that fails says so again: the first is when it broke.
      if (up === (downSince === null)) return;
      downSince = up ? null : new Date();
      part?.online?.(downSince);
    },
    onregistered(resumed) {
      look();
      // Who has taken a chat over meanwhile, no event says.
      bots.reload();
      part?.onregistered?.();
      // A thread may have been read, and its cursor been known, before the line was up for the first time.
      if (!resumed || talk.chats === null) talk.reload();
    },
    onevent(event, payload) {
      if (event === "events:gap") [talk, bots].forEach((one) => one.reload());
      else if (event === "owner:called") bots.happened(event, payload);
      // A mark (a timer, a pin) is no message: nothing of it is shown.
      else if (event.startsWith("message:")) event !== "message:marked" && [talk, bots].forEach((one) => one.happened(event, payload));
      else if (event === "group:update" || event === "group:join") talk.renamed(payload.group?.group ?? {});
      else if (event === "connection:status" || event === "qr:updated") look();
      part?.onevent?.(event, payload);
    },
  });
  talk.onseen = live.saw;
  bots.oncalled = ([first, ...more]) => {
    const { chat, customer, reason } = first;
    toast(more.length > 0 ? t("takeover.called.many", { n: more.length + 1 }) : t("takeover.called", { name: label(customer) || address(chat), reason: label(reason) }));
  };

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

  /** The directory's name, for who comes here by an address and not from the list. */
  async function askName() {
    try {
      learnNames([(await get(path`api/tenant/${tenant}`)).tenant]);
      named = true;
    } catch (problem) {
      // Whether there is such a tenant, the session says. Nobody answered: it is asked again with the session.
      named = problem.status === 404;
      return;
    }
    if (!closed && session) draw();
  }

  async function ask() {
    clearTimeout(timer);
    try {
      session = await get(path`api/sessions/${tenant}`);
    } catch (problem) {
      if (closed) return;
      // Not there, or no name that a tenant could have.
      if (problem.status === 404 || problem.status === 400) return missing(problem);
      // Only the process that has it knows how it stands: that is no alarm.
      if (problem.code === "owned_elsewhere") session = elsewhere(tenant, session);
      else if (session === null) fill(place, h("div", { class: "empty" }, icon("alert"), h("p", null, words(problem))));
    }
    if (closed) return;
    if (session) draw();
    if (!named) askName();
    timer = setTimeout(look, EVERY_MS);
  }

  function missing(problem) {
    live.close();
    part?.close?.();
    part = null;
    fill(place, h("div", { class: "empty" }, icon("none"), h("p", null, words(problem)), h("a", { href: listAddress() }, t("tenant.back"))));
  }

  function draw() {
    drawHead();
    // There is nothing to read of one that another process serves; who reads already is not led away.
    const talks = session.paired && (session.reason !== "moved" || part !== null);
    const wanted = to.part in PARTS ? to.part : talks ? "talk" : "connection";
    for (const link of tabs.children) {
      if (link.dataset.part === wanted) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      // Back to the conversation, and to the search, that were left.
      if (link.dataset.part === "talk" && wanted !== "talk" && talk.address) link.setAttribute("href", talk.address);
    }
    if (part?.name !== wanted) {
      part?.close?.();
      part = { name: wanted, ...PARTS[wanted]({ tenant, talk, bots, session, look, to }) };
      fill(place, part.node);
      if (downSince) part.online?.(downSince);
    } else {
      part.update?.({ session, to });
    }
  }

  function drawHead() {
    // It is said when it changes, and only then.
    const called = nameOf(tenant);
    const now = JSON.stringify([called, session.status, session.paired, session.rejected, session.reason, session.me]);
    if (now === shown) return;
    shown = now;
    if (view.title !== called) {
      view.title = called;
      fill(title, name(called));
      document.title = pageTitle(called);
    }
    const number = phone(numberOf(session));
    const pushName = label(session.me?.pushName);
    fill(state,
      chip(session),
      called !== tenant && h("code", { class: "muted" }, tenant),
      number && h("span", { class: "numbers muted" }, number),
      pushName && pushName !== called && name(pushName, { class: "muted" }),
      reasonOf(session, "p"));
  }

  fill(tabs, Object.keys(PARTS).map((name) => h("a", { href: path`#/t/${tenant}/${name}`, "data-part": name }, t(`tenant.${name}`))));
  fill(place, h("div", { class: "empty" }, h("p", { role: "status" }, t("loading"))));
  leaving.to(tenant);
  look();

  const view = {
    title: nameOf(tenant),
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
      bots.close();
    },
  };
  return view;
}

/** A tenant that another process serves: what was known of it before, and that it is there. */
function elsewhere(tenant, before) {
  const { me = null, expectedNumber = null } = before ?? {};
  return { name: tenant, status: "STOPPED", paired: true, rejected: false, reason: "moved", me, expectedNumber, lastMessageAt: null, heartbeat: null, timestamps: { activity: 0 } };
}
