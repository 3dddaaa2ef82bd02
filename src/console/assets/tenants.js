// All tenants, how they are, and a new one. Asks for them every few seconds while somebody looks. What is searched, shown and sorted, and the
// place in the list, are in the address.

import { get, path, post } from "./api.js";
import { arrows, fill, h, list } from "./dom.js";
import { field, form, picker, show, words } from "./dialog.js";
import { phone, since } from "./format.js";
import { icon } from "./icons.js";
import { learnNames, nameOf } from "./names.js";
import { FILTERS, SORT_NAMES, isStopped, matches, numberOf, sorted } from "./order.js";
import { leaving, placeOf, setPlace } from "./place.js";
import { label, name, serverWords } from "./text.js";
import { t } from "./words.js";

const EVERY_MS = 3000;

/**
 * Tenants that are not open here are only in the directory, and each look into it costs the vault a read a tenant. So long it may take until one
 * of them that was deleted elsewhere is shown no more.
 */
const DIRECTORY_MS = 300_000;

/** So long after the last movement one has come to a place. */
const SETTLED_MS = 150;

/** Why it is so, where the state alone does not say it. */
export function reasonOf(session, tag, props) {
  const said = session.status === "WORKING" || ["not paired", "connecting", "waiting for a scan"].includes(session.reason);
  return !said && session.reason ? serverWords(session.reason, tag, { class: "reason", ...props }) : null;
}

const KINDS = { WORKING: "good", STARTING: "wait", SCAN_QR_CODE: "ask", PASSKEY_REQUIRED: "ask", PASSKEY_CONFIRMATION_REQUIRED: "ask", FAILED: "bad", STOPPED: "" };

/** A session's state as a word with a mark. */
export function chip(session) {
  const { status, paired, rejected, reason } = session;
  const lost = status === "STOPPED" && rejected;
  const word = status !== "STOPPED" ? status : lost ? "rejected" : !paired ? "unpaired" : reason === "moved" ? "moved" : status;
  const kind = isStopped(session) ? "stopped" : KINDS[status] ?? "";
  return h("span", { class: `chip ${lost ? "bad" : kind}`, "data-state": status }, t(`state.${word}`));
}

export function tenantsView(to, { online }) {
  let sessions = null;
  /** When the directory was looked into. */
  let directoryAt = -Infinity;
  let openBefore = [];
  let place = placeOf(to.query);
  /** The row to come to, once there are rows. */
  let wanted = place.at;
  let timer = null;
  let settling = null;
  let closed = false;

  const search = h("input", { class: "input", type: "search", id: "tenants-search", "aria-label": t("tenants.search"), placeholder: t("tenants.search"), value: place.q, oninput: () => change({ q: search.value }) });
  const sort = picker({ id: "tenants-sort", label: t("tenants.sort"), options: SORT_NAMES.map((key) => [key, t(`tenants.sort.${key}`)]), onchange: (key) => change({ sort: key === "need" ? "" : key }) });
  const filters = h("div", { class: "filters", role: "group", "aria-label": t("tenants.filter") });
  const body = h("tbody", { role: "rowgroup" });
  const column = (words) => h("th", { role: "columnheader", scope: "col" }, t(words));
  const table = h("table", { class: "table links tenants", role: "table", "aria-label": t("nav.tenants") },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, column("tenants.name"), column("tenants.state"), column("tenants.phone"), column("tenants.last"), column("tenants.beat"))),
    body);
  const panel = h("div", { class: "panel" });
  const found = h("p", { class: "found muted small", role: "status" });
  arrows(body, "a");

  async function look() {
    clearTimeout(timer);
    try {
      const whole = performance.now() - directoryAt > DIRECTORY_MS;
      const [found, open] = await Promise.all([whole && get("api/tenants"), get("api/sessions?all=true&open=true")]);
      const now = new Set(open.map((session) => session.name));
      // What was open and is not: deleted, or another process's by now. The directory knows.
      const directory = found || (openBefore.some((name) => !now.has(name)) && (await get("api/tenants")));
      if (directory) {
        learnNames(directory.tenants);
        sessions = directory.tenants.map(asleep);
        directoryAt = performance.now();
      }
      openBefore = [...now];
      sessions = renewed(sessions, open);
      online(true);
    } catch (problem) {
      if (closed) return;
      online(false);
      if (sessions === null) fill(panel, h("div", { class: "empty" }, icon("alert"), h("p", null, words(problem))));
    }
    if (closed) return;
    draw();
    // Of a thousand tenants not quite as often.
    if (!document.hidden) timer = setTimeout(look, EVERY_MS + 10 * (sessions?.length ?? 0));
  }

  /** Another search, filter or sort: one begins at its top. */
  function change(changed) {
    place = { ...place, at: "", ...changed };
    setPlace(place);
    draw();
  }

  function draw() {
    if (sessions === null) return;
    const showing = place.show in FILTERS ? place.show : "all";
    list(filters, Object.keys(FILTERS), { key: (key) => key, version: () => Symbol("each time"), make: filterButton, update: (node, key) => {
      node.setAttribute("aria-pressed", String(key === showing));
      fill(node, t(`tenants.filter.${key}`), h("span", { class: "numbers" }, sessions.filter(FILTERS[key]).length));
    } });
    sort.choose(SORT_NAMES.includes(place.sort) ? place.sort : "need");
    const shown = sorted(sessions.filter((session) => FILTERS[showing](session) && matches(session, place.q)), place.sort);
    list(body, shown, { key: (session) => session.name, version: () => Symbol("each time"), make: row, update });
    if (sessions.length === 0) {
      nothing("chat", t("tenants.none"));
    } else if (shown.length === 0) {
      nothing("search", t("tenants.no_match"));
    } else if (panel.firstChild !== table) {
      fill(panel, table);
    }
    const count = t("tenants.found", { n: shown.length, all: sessions.length });
    if (found.textContent !== count) fill(found, count);
    if (wanted !== null) arrive();
  }

  function filterButton(key) {
    const node = h("button", { type: "button", class: "filter", id: `filter-${key}`, onclick: () => change({ show: key === "all" ? "" : key }) });
    node.setAttribute("aria-pressed", String(key === (place.show || "all")));
    fill(node, t(`tenants.filter.${key}`), h("span", { class: "numbers" }, sessions.filter(FILTERS[key]).length));
    return node;
  }

  /** Comes to the row that the address names, and gives the focus to the tenant that was looked at. */
  function arrive() {
    const at = rowOf(wanted);
    wanted = null;
    at?.scrollIntoView({ block: "start" });
    const link = rowOf(leaving.take())?.querySelector("a");
    if (!link || !["BODY", "H1"].includes(document.activeElement.tagName)) return;
    link.focus({ preventScroll: true });
    if (!at) link.scrollIntoView({ block: "nearest" });
  }

  function rowOf(tenant) {
    return tenant ? [...body.children].find((row) => row.dataset.tenant === tenant) : null;
  }

  /** The first row that is seen whole is where one is; none while the list is seen from its top. */
  function settle() {
    if (closed || sessions === null || body.childElementCount === 0) return;
    const top = Math.max(0, tools.getBoundingClientRect().bottom);
    const rows = [...body.children];
    const first = rows[0].getBoundingClientRect().top >= top - 1 ? null : rows.find((row) => row.getBoundingClientRect().top >= top - 1);
    const at = first?.dataset.tenant ?? "";
    if (at === place.at) return;
    place = { ...place, at };
    setPlace(place);
  }

  function scrolled() {
    clearTimeout(settling);
    settling = setTimeout(settle, SETTLED_MS);
  }

  function nothing(sign, text) {
    fill(panel, h("div", { class: "empty" }, icon(sign), h("p", null, text)));
  }

  function looksAgain() {
    if (!document.hidden) look();
  }

  /** One was deleted from this page. */
  function looksWhole() {
    directoryAt = -Infinity;
    look();
  }

  const tools = h("div", { class: "tools" }, h("div", { class: "search" }, icon("search"), search), sort.node, filters);
  document.addEventListener("visibilitychange", looksAgain);
  addEventListener("tenants", looksWhole);
  addEventListener("scroll", scrolled, { passive: true });
  fill(panel, h("div", { class: "empty" }, h("p", { role: "status" }, t("loading"))));
  setPlace(place);
  look();
  return {
    title: t("nav.tenants"),
    isList: true,
    node: h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, t("nav.tenants")),
        h("button", { type: "button", class: "button primary", onclick: add }, icon("plus"), t("tenants.add"))),
      tools, found, panel),
    update(next) {
      if (next.name !== "tenants") return false;
      place = placeOf(next.query);
      wanted = place.at;
      search.value = place.q;
      setPlace(place);
      draw();
      if (!place.at) scrollTo(0, 0);
      return true;
    },
    close() {
      closed = true;
      clearTimeout(timer);
      clearTimeout(settling);
      document.removeEventListener("visibilitychange", looksAgain);
      removeEventListener("tenants", looksWhole);
      removeEventListener("scroll", scrolled);
    },
  };
}

/** A tenant that is in the directory and not open in this process. */
function asleep({ id, whatsappConnected, phoneNumber }) {
  const me = phoneNumber ? { id: `${phoneNumber}@c.us`, pushName: null } : null;
  return { name: id, status: "STOPPED", paired: whatsappConnected, rejected: false, reason: whatsappConnected ? "moved" : null, me, lastMessageAt: null, heartbeat: null, timestamps: { activity: 0 } };
}

/** What is open now, and of the others what was known of them. */
function renewed(known, open) {
  const now = new Map(known.map((session) => [session.name, session]));
  for (const session of open) now.set(session.name, session);
  return [...now.values()];
}

function row(session) {
  const cell = (kind, words) => h("td", { role: "cell", class: kind, "data-label": words && t(words) });
  const node = h("tr", { role: "row", "data-tenant": session.name },
    h("td", { role: "cell", class: "name" }, h("a", { href: path`#/t/${session.name}` }), h("span", { class: "sub" })),
    cell("state"), cell("phone numbers"), cell("at", "tenants.last"), cell("at beat", "tenants.beat"));
  update(node, session);
  return node;
}

function update(node, session) {
  const [who, state, number, last, beat] = node.children;
  const called = nameOf(session.name);
  const pushName = label(session.me?.pushName);
  fill(who.firstChild, name(called));
  // The id is what the API calls it.
  fill(who.lastChild, called !== session.name && [h("code", null, session.name), " "], pushName !== called && name(pushName));
  fill(state, chip(session), reasonOf(session, "span"));
  fill(number, phone(numberOf(session)) || h("span", { class: "muted" }, "—"));
  fill(last, since(session.lastMessageAt));
  fill(beat, since(session.heartbeat?.at), ["reconnecting", "failed"].includes(session.heartbeat?.health) && h("span", { class: "sub" }, t(`health.${session.heartbeat.health}`)));
}

/** A new tenant: its id and its name, and off to its pairing. */
function add() {
  show(t("add.title"), (close, head) => {
    const id = field({ label: t("add.id"), hint: t("add.id.hint"), names: ["name", "session"], maxlength: 64, required: true });
    const called = field({ label: t("name.label"), hint: t("add.name.hint"), names: ["displayName"], maxlength: 100, autocapitalize: "words" });
    const submit = async () => {
      const wanted = id.input.value.trim();
      const displayName = called.input.value.trim();
      await post("api/sessions", { name: wanted, start: true, ...(displayName && { displayName }) });
      if (displayName) learnNames([{ id: wanted, name: displayName }]);
      close("made");
      location.hash = path`#/t/${wanted}/connection`;
    };
    return form({
      fields: [id, called],
      submit,
      children: [head, h("p", { class: "muted" }, t("add.text")), id.node, called.node],
      foot: h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
        h("button", { type: "submit", class: "button primary" }, t("add.do"))),
    });
  });
}
