// A tenant's connection: pairing by a QR code that renews itself or by a code that is typed into the phone, and what can be done with one that
// is paired.

import { get, path, post, put, remove } from "./api.js";
import { fill, h } from "./dom.js";
import { action, choose, confirm, field, form, toast } from "./dialog.js";
import { phone, since } from "./format.js";
import { icon } from "./icons.js";
import { moveInPart } from "./movein.js";
import { learnNames, nameOf } from "./names.js";
import { isStopped, numberOf } from "./order.js";
import { listAddress } from "./place.js";
import { serverWords } from "./text.js";
import { t } from "./words.js";

/** Milliseconds that a code is good for at the most, and after which it is fetched again when no new one was announced. */
const CODE_MS = 60_000;
const RENEWED_MS = 20_000;

export function connectionPart({ tenant, session, look }) {
  const body = h("div", { class: "page narrow" });
  const called = naming(tenant, look);
  let shown = null;
  let part = null;

  function draw() {
    // The QR code, a half-typed number and the focus survive what does not change them.
    const kind = session.paired ? "paired" : "pairing";
    if (shown !== kind) {
      part?.close?.();
      part = kind === "paired" ? paired(tenant, look) : ways(tenant, look);
      fill(body, part.node, called.node, removal(tenant));
    }
    part.update(session);
    called.update();
    if (shown === "pairing" && kind === "paired" && !isStopped(session)) toast(t("pairing.done"));
    shown = kind;
  }

  draw();
  return {
    node: body,
    update(next) {
      session = next.session;
      draw();
    },
    onevent(event) {
      if (event === "qr:updated") part?.refresh?.();
    },
    close: () => part?.close?.(),
  };
}

/** What people call the tenant; programs call it by its id. */
function naming(tenant, look) {
  const name = field({ label: t("name.label"), hint: t("name.hint", { tenant }), names: ["displayName"], maxlength: 100, autocapitalize: "words" });
  let known = "";
  const submit = async () => {
    const displayName = name.input.value.trim();
    await put(path`api/sessions/${tenant}`, { displayName });
    known = displayName;
    learnNames([{ id: tenant, name: displayName }]);
    toast(t("name.done"));
    dispatchEvent(new Event("tenants"));
    await look();
  };
  const node = h("section", { class: "panel", "aria-labelledby": "name-title" },
    h("div", { class: "body" },
      h("h2", { id: "name-title" }, t("name.title")),
      form({ fields: [name], submit, props: { class: "body-form" }, children: name.node, foot: h("div", { class: "row" }, h("button", { type: "submit", class: "button" }, t("name.do"))) })));
  return {
    node,
    /** The name may come after the page. What somebody is typing stays. */
    update() {
      const now = nameOf(tenant) === tenant ? "" : nameOf(tenant);
      if (name.input.value === known) name.input.value = now;
      known = now;
    },
  };
}

/** Deleting the tenant, at the end of the page. */
function removal(tenant) {
  const remove_ = async () => {
    if (!(await confirm(t("delete.title", { tenant: nameOf(tenant) }), t("delete.text"), t("delete.do")))) return;
    // First: the page would ask for what is gone.
    location.hash = listAddress();
    await remove(path`api/sessions/${tenant}`);
    toast(t("delete.done", { tenant: nameOf(tenant) }));
    dispatchEvent(new Event("tenants"));
  };
  return h("section", { class: "panel removal", "aria-labelledby": "removal-title" },
    h("div", { class: "body" },
      h("h2", { id: "removal-title" }, t("delete.heading")),
      h("p", { class: "muted" }, t("delete.hint")),
      h("div", { class: "row" }, h("button", { type: "button", class: "button danger", onclick: action(remove_) }, icon("trash"), t("delete.do")))));
}

/** How a paired tenant is connected, and what can be done with that. */
function paired(tenant, look) {
  const connected = h("div", { class: "note good" }, icon("check"), h("div", null, h("strong", null, t("connection.connected"))));
  const stopped = h("div", { class: "note" }, icon("pause"), h("div", null, h("strong", null, t("connection.stopped")), h("p", null, t("connection.stopped.text"))));
  const facts = h("dl", { class: "facts" });
  const fact = (words, value) => [h("dt", null, t(words)), h("dd", null, value)];
  const reconnect = async () => {
    await post(path`api/sessions/${tenant}/restart`);
    toast(t("connection.reconnecting"));
    await look();
  };
  const logout = async () => {
    if (!(await confirm(t("logout.title", { tenant: nameOf(tenant) }), t("logout.text"), t("logout.do")))) return;
    await post(path`api/sessions/${tenant}/logout`);
    toast(t("logout.done"));
    await look();
  };
  const connect = async () => {
    await post(path`api/sessions/${tenant}/start`);
    toast(t("state.STARTING"));
    await look();
  };
  const stop = async () => {
    await post(path`api/sessions/${tenant}/stop`);
    toast(t("connection.stopped"));
    await look();
  };
  // Another process has it: there is no connection here to make anew or to end.
  const elsewhere = h("div", { hidden: true },
    h("p", null, t("connection.elsewhere")),
    h("div", { class: "row" }, h("button", { type: "button", class: "button primary", onclick: action(connect) }, icon("refresh"), t("connection.here"))));
  const button = (kind, work, sign, words) => h("button", { type: "button", class: `button ${kind}`, onclick: action(work) }, icon(sign), t(words));
  const startButton = button("primary", connect, "play", "connection.start");
  const reconnectButton = button("", reconnect, "refresh", "connection.reconnect");
  const stopButton = button("", stop, "pause", "connection.stop");
  const here = h("div", { class: "choices" },
    h("div", { class: "row" }, startButton, reconnectButton, stopButton, button("danger", logout, "unlink", "logout.do")),
    h("p", { class: "muted small" }, t("connection.hint")));
  const panel = h("section", { class: "panel", "aria-labelledby": "connection-title" },
    h("header", null, h("h2", { id: "connection-title" }, t("tenant.connection"))),
    h("div", { class: "body" },
      facts,
      elsewhere,
      here));

  function update(session) {
    const beat = session.heartbeat;
    const away = isStopped(session);
    connected.hidden = session.status !== "WORKING";
    stopped.hidden = startButton.hidden = !away;
    // What had the focus does not vanish from under it.
    const before = document.activeElement;
    reconnectButton.hidden = stopButton.hidden = away;
    if (away && (before === stopButton || before === reconnectButton)) startButton.focus();
    if (!away && before === startButton) reconnectButton.focus();
    here.hidden = session.reason === "moved";
    elsewhere.hidden = !here.hidden;
    fill(facts,
      fact("tenants.phone", h("span", { class: "numbers" }, phone(numberOf(session)) || "—")),
      fact("connection.reason", session.reason ? serverWords(session.reason) : "—"),
      fact("connection.since", since(session.timestamps?.activity || null)),
      session.imported && fact("connection.imported", imported(session.imported)),
      fact("tenants.last", since(session.lastMessageAt)),
      fact("tenants.beat", [since(beat?.at), beat && ` · ${t(`health.${beat.health}`)}`]));
  }

  return { node: [connected, stopped, panel], update };
}

/** Where the device came from, when, and what of it did not come along. */
function imported({ origin, at, entries }) {
  const dropped = Object.values(entries).reduce((sum, one) => sum + one.dropped, 0);
  return [t(`movein.from.${origin}`), " · ", since(at), dropped > 0 && ` · ${t("connection.imported.dropped", { n: dropped })}`];
}

/** Both ways to pair. */
function ways(tenant, look) {
  const code = qr(tenant, look);
  const steps = (...keys) => h("ol", { class: "steps" }, keys.map((key) => h("li", null, h("span", null, t(key)))));
  const number = field({ label: t("code.number"), hint: t("code.number.hint"), names: ["phoneNumber"], type: "tel", inputmode: "tel", autocomplete: "off" });
  const answer = h("div", { role: "status" });
  const ask = async () => {
    const found = await post(path`api/${tenant}/auth/request-code`, { phoneNumber: number.input.value });
    const plain = String(found.code);
    // As the phone shows its fields: two fours.
    const parted = plain.length === 8 ? `${plain.slice(0, 4)}-${plain.slice(4)}` : plain;
    fill(answer, h("p", null, t("code.here")), h("p", { class: "code", "data-code": plain }, parted), h("p", { class: "small muted" }, t("code.hint")));
  };
  const node = h("div", { class: "ways" },
    h("section", { class: "panel", "aria-labelledby": "qr-title" },
      h("header", null, h("h2", { id: "qr-title" }, t("qr.title"))),
      h("div", { class: "body" }, code.node, steps("qr.step1", "qr.step2", "qr.step3"))),
    h("section", { class: "panel", "aria-labelledby": "code-title" },
      h("header", null, h("h2", { id: "code-title" }, t("code.title"))),
      h("div", { class: "body" }, form({
        fields: [number],
        submit: ask,
        props: { class: "body-form" },
        children: [h("p", { class: "muted" }, t("code.text")), number.node],
        foot: [h("div", { class: "row" }, h("button", { type: "submit", class: "button" }, t("code.do"))), answer],
      }))));
  const whose = account(tenant);
  let said = null;
  const update = (session) => {
    code.update(session);
    // Nothing came of the code: whoever reads it here would type it in vain.
    const fails = session.status === "SCAN_QR_CODE" && session.reason !== "waiting for a scan";
    if (fails && session.reason !== said) fill(answer);
    said = session.reason;
    whose.update(session);
  };
  return { node: [whose.node, node, moveInPart(tenant, look).node], update, refresh: code.refresh, close: code.close };
}

/** Which number alone may scan, and the owner's word that another one may. */
function account(tenant) {
  const place = h("div", { class: "note wait", hidden: true });
  let known = null;

  async function look() {
    const { number, change } = await get(path`api/sessions/${tenant}/account`);
    place.hidden = number === null;
    const allow = async () => {
      const conversations = await choose(t("account.title", { tenant: nameOf(tenant) }), t("account.text"), [["keep", t("account.keep")], ["delete", t("account.delete")]]);
      if (!conversations) return;
      await put(path`api/sessions/${tenant}/account/change`, { conversations });
      toast(t("account.allowed"));
      await look();
    };
    const forbid = async () => {
      await remove(path`api/sessions/${tenant}/account/change`);
      await look();
    };
    fill(place, icon("alert"), h("div", null,
      h("p", null, t(change ? `account.open.${change.conversations}` : "account.only", { number: phone(number ?? "") })),
      h("button", { type: "button", class: "button", onclick: action(change ? forbid : allow) }, t(change ? "account.forbid" : "account.allow"))));
  }

  function update(session) {
    // A scan may have been refused, or let in: the reason says so.
    const now = JSON.stringify([session.expectedNumber, session.status, session.reason]);
    if (now === known) return;
    known = now;
    // One that nobody answers is asked again with the next look at the session.
    if (session.expectedNumber) look().catch(() => { known = null; });
  }

  return { node: place, update };
}

/** The QR code: fetched when there is a new one, as a picture that only the operator's key opens. */
function qr(tenant, look) {
  const place = h("div", { class: "qr" });
  let state = null;
  let url = null;
  let shownAt = -Infinity;
  let asked = 0;

  async function refresh() {
    asked += 1;
    const mine = asked;
    let picture;
    try {
      picture = await get(path`api/${tenant}/auth/qr`, { raw: true, headers: { Accept: "image/png" } });
    } catch {
      // It went stale just now: the next one is announced, or found at the next look.
      if (mine === asked && performance.now() - shownAt > CODE_MS) wait();
      return;
    }
    if (mine !== asked) return;
    shownAt = performance.now();
    const old = url;
    url = URL.createObjectURL(picture);
    fill(place, h("img", { src: url, alt: t("qr.alt"), "data-qr": mine }), h("p", { class: "small muted" }, t("qr.renews")));
    if (old) URL.revokeObjectURL(old);
  }

  /** No code to scan, yet. */
  function wait() {
    fill(place, h("div", { class: "blank" }, h("span", null, t("qr.waiting"))));
  }

  function update(session) {
    if (session.status === state) {
      // New codes are announced over the line, which may be down.
      if (state === "SCAN_QR_CODE" && performance.now() - shownAt > RENEWED_MS) refresh();
      return;
    }
    state = session.status;
    shownAt = -Infinity;
    asked += 1;
    if (state === "SCAN_QR_CODE") refresh();
    const start = async () => {
      await post(path`api/sessions/${tenant}/start`);
      await look();
    };
    const passkey = state === "PASSKEY_REQUIRED" || state === "PASSKEY_CONFIRMATION_REQUIRED";
    const waiting = state === "STARTING" || state === "SCAN_QR_CODE";
    fill(place,
      h("div", { class: "blank" }, waiting ? h("span", null, t("qr.waiting")) : icon("none")),
      passkey && h("p", null, t("qr.passkey")),
      !waiting && !passkey && h("button", { type: "button", class: "button primary", onclick: action(start) }, icon("refresh"), t("qr.start")));
  }

  return {
    node: place,
    update,
    refresh,
    close() {
      asked += 1;
      if (url) URL.revokeObjectURL(url);
    },
  };
}
