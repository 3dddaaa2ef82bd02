// All tenants, how they are, and a new one. Asks for them every few seconds while somebody looks.

import { get, path, post } from "./api.js";
import { arrows, fill, h, list } from "./dom.js";
import { field, form, show, words } from "./dialog.js";
import { phone, since } from "./format.js";
import { icon } from "./icons.js";
import { english, label, name } from "./text.js";
import { t } from "./words.js";

const EVERY_MS = 3000;

/** Tenants that are not open here are only in the directory, and each look into it costs the vault a read a tenant. */
const DIRECTORY_MS = 300_000;

/** Which tenants a filter shows. */
const FILTERS = {
  all: () => true,
  working: (session) => session.status === "WORKING",
  ill: (session) => isIll(session),
  unpaired: (session) => !session.paired,
};

function isIll({ status, paired, rejected }) {
  return status === "FAILED" || rejected || (paired && status !== "WORKING");
}

/** The digits of a session's phone number. */
export function numberOf(session) {
  return session?.me?.id?.split("@")[0] ?? "";
}

/** Why it is so, where the state alone does not say it. */
export function reasonOf(session, tag, props) {
  const said = ["WORKING", "SCAN_QR_CODE"].includes(session.status) || session.reason === "not paired";
  return !said && session.reason ? english(session.reason, tag, { class: "reason", ...props }) : null;
}

/** A session's state as a word with a mark. */
export function chip(session) {
  const kinds = { WORKING: "good", STARTING: "wait", SCAN_QR_CODE: "ask", PASSKEY_REQUIRED: "ask", PASSKEY_CONFIRMATION_REQUIRED: "ask", FAILED: "bad", STOPPED: "" };
  const { status, paired, rejected } = session;
  const lost = status === "STOPPED" && rejected;
  const word = lost ? "state.rejected" : status === "STOPPED" && !paired ? "state.unpaired" : `state.${status}`;
  return h("span", { class: `chip ${lost ? "bad" : kinds[status] ?? ""}`, "data-state": status }, t(word));
}

export function tenantsView({ online }) {
  let sessions = null;
  /** When the directory was looked into. */
  let directoryAt = -Infinity;
  let filter = "all";
  let timer = null;
  let closed = false;

  const search = h("input", { class: "input", type: "search", "aria-label": t("tenants.search"), placeholder: t("tenants.search"), oninput: () => draw() });
  const filters = h("div", { class: "filters", role: "group", "aria-label": t("tenants.filter") });
  const body = h("tbody", { role: "rowgroup" });
  const column = (words) => h("th", { role: "columnheader", scope: "col" }, t(words));
  const table = h("table", { class: "table links tenants", role: "table", "aria-label": t("nav.tenants") },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, column("tenants.name"), column("tenants.state"), column("tenants.phone"), column("tenants.last"), column("tenants.beat"))),
    body);
  const panel = h("div", { class: "panel" });
  const found = h("p", { class: "hidden-text", role: "status" });
  arrows(body, "a");

  async function look() {
    clearTimeout(timer);
    try {
      const whole = performance.now() - directoryAt > DIRECTORY_MS;
      const found = await get(whole ? "api/sessions?all=true" : "api/sessions?all=true&open=true");
      sessions = whole ? found : renewed(sessions, found);
      if (whole) directoryAt = performance.now();
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

  function draw() {
    if (sessions === null) return;
    fill(filters, Object.entries(FILTERS).map(([key, fits]) =>
      h("button", { type: "button", class: "filter", id: `filter-${key}`, "aria-pressed": String(filter === key), onclick: () => { filter = key; draw(); document.getElementById(`filter-${key}`).focus(); } },
        t(`tenants.filter.${key}`), h("span", { class: "numbers" }, sessions.filter(fits).length))));
    const wanted = search.value.trim().toLocaleLowerCase();
    const text = (session) => `${session.name} ${label(session.me?.pushName)} ${numberOf(session)} ${session.reason ?? ""}`.toLocaleLowerCase();
    const shown = sessions.filter((session) => FILTERS[filter](session) && text(session).includes(wanted));
    list(body, shown, { key: (session) => session.name, version: () => Symbol("each time"), make: row, update });
    if (sessions.length === 0) {
      nothing("chat", t("tenants.none"));
    } else if (shown.length === 0) {
      nothing("search", t("tenants.no_match"));
    } else if (panel.firstChild !== table) {
      fill(panel, table);
    }
    const count = t("tenants.found", { n: shown.length });
    if (found.textContent !== count) fill(found, count);
  }

  function nothing(sign, text) {
    fill(panel, h("div", { class: "empty" }, icon(sign), h("p", null, text)));
  }

  function looksAgain() {
    if (!document.hidden) look();
  }

  document.addEventListener("visibilitychange", looksAgain);
  fill(panel, h("div", { class: "empty" }, h("p", { role: "status" }, t("loading"))));
  look();
  return {
    title: t("nav.tenants"),
    node: h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, t("nav.tenants")),
        h("button", { type: "button", class: "button primary", onclick: add }, icon("plus"), t("tenants.add"))),
      h("div", { class: "tools" }, h("div", { class: "search" }, icon("search"), search), filters),
      found, panel),
    close() {
      closed = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", looksAgain);
    },
  };
}

/** What is open now, and of the others what was known of them. */
function renewed(known, open) {
  const now = new Map(known.map((session) => [session.name, session]));
  for (const session of open) now.set(session.name, session);
  return [...now.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function row(session) {
  const cell = (kind, words) => h("td", { role: "cell", class: kind, "data-label": words && t(words) });
  const node = h("tr", { role: "row" },
    h("td", { role: "cell", class: "name" }, h("a", { href: `#/t/${encodeURIComponent(session.name)}` }, session.name), h("span", { class: "sub" })),
    cell("state"), cell("phone numbers"), cell("at", "tenants.last"), cell("at beat", "tenants.beat"));
  update(node, session);
  return node;
}

function update(node, session) {
  const [who, state, number, last, beat] = node.children;
  fill(who.lastChild, session.me?.pushName && name(session.me.pushName));
  fill(state, chip(session), reasonOf(session, "span"));
  fill(number, phone(numberOf(session)) || h("span", { class: "muted" }, "—"));
  fill(last, since(session.lastMessageAt));
  fill(beat, since(session.heartbeat?.at), session.heartbeat && session.heartbeat.health !== "healthy" && h("span", { class: "sub" }, t(`health.${session.heartbeat.health}`)));
}

/** A new tenant: its id, and off to its pairing. */
function add() {
  show(t("add.title"), (close, head) => {
    const id = field({ label: t("add.id"), hint: t("add.id.hint"), names: ["name", "session"], maxlength: 64, required: true });
    const submit = async () => {
      const wanted = id.input.value.trim();
      await post("api/sessions", { name: wanted, start: true });
      close("made");
      location.hash = path`#/t/${wanted}/connection`;
    };
    return form({
      fields: [id],
      submit,
      children: [head, h("p", { class: "muted" }, t("add.text")), id.node],
      foot: h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
        h("button", { type: "submit", class: "button primary" }, t("add.do"))),
    });
  });
}
