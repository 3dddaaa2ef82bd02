// What the operator sees first: who needs somebody, why and what to do, how much goes through, webhooks that fail, the vault and what it
// costs today, what was told. Asks every few seconds while somebody looks; what has not changed is not touched.

import { get, path } from "./api.js";
import { unique, words } from "./dialog.js";
import { fill, h, list } from "./dom.js";
import { money, number, since } from "./format.js";
import { icon } from "./icons.js";
import { isNamed, learnNames, nameOf } from "./names.js";
import { plot } from "./plot.js";
import { name, serverWords } from "./text.js";
import { language, t } from "./words.js";

const EVERY_MS = 5000;

/** The names of so many are asked for, each once: it costs the vault a read. */
const MOST_NAMES = 20;

/** Anew at each look, as times go by. */
const EACH_TIME = () => Symbol("each time");

export function overviewView({ online }) {
  let timer = null;
  let closed = false;
  let drawn = false;
  const asked = new Set();
  const known = new Map();

  const summary = h("p", { class: "muted" });
  const attention = section("overview.attention");
  const messages = section("overview.messages");
  const webhooks = section("overview.webhooks");
  const vault = section("overview.vault");
  const alerts = section("overview.alerts");
  const needs = h("ul", { class: "needs" });
  const failing = h("ul", { class: "needs" });
  const board = h("div", { class: "overview" }, attention.node, messages.node, webhooks.node, vault.node, alerts.node);
  const place = h("div", null, h("div", { class: "panel" }, h("div", { class: "empty" }, h("p", { role: "status" }, t("loading")))));

  async function look() {
    clearTimeout(timer);
    try {
      const found = await get(`api/overview?language=${language()}`);
      if (closed) return;
      online(true);
      draw(found);
      askNames(found);
    } catch (problem) {
      if (closed) return;
      online(false);
      if (!drawn) fill(place, h("div", { class: "panel" }, h("div", { class: "empty" }, icon("alert"), h("p", null, words(problem)))));
    }
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, EVERY_MS);
  }

  function draw(found) {
    if (!drawn) fill(place, board);
    drawn = true;
    const { working, elsewhere, total } = found.tenants;
    changed("summary", [working, elsewhere, total], () => fill(summary, t("overview.connected", { n: number(working), all: number(total) }), elsewhere > 0 && [" · ", t("overview.elsewhere", { n: number(elsewhere) })]));
    rows(attention, needs, found.attention, found.attentionTotal, total === 0 ? "tenants.none" : "overview.attention.none", {
      key: ({ condition, tenant }) => `${condition} ${tenant}`, version: EACH_TIME, make: needRow, update: updateNeed,
    });
    // The minute that goes on is the last one: the plots move on with it.
    const end = Math.ceil(Date.parse(found.at) / 60_000) * 60_000;
    changed("messages", [found.hour, found.day, end], () => fill(messages.body, plot(t("overview.hour"), found.hour, end), plot(t("overview.day"), found.day, end)));
    rows(webhooks, failing, found.webhooks, found.webhooksTotal, "overview.webhooks.none", {
      key: ({ tenant }) => tenant, version: EACH_TIME, make: webhookRow, update: updateWebhook,
    });
    changed("vault", found.vault, () => fill(vault.body, vaultFacts(found.vault)));
    changed("alerts", [found.alerts, [...asked]], () => fill(alerts.body, alertsOf(found.alerts)));
  }

  /** Draws what differs from what was drawn: focus, selection and a reader's place survive. */
  function changed(part, data, draw) {
    const now = JSON.stringify(data);
    if (known.get(part) === now) return;
    known.set(part, now);
    draw();
  }

  function rows({ title, body }, node, items, total, none, how) {
    list(node, items, how);
    const more = total - items.length;
    changed(title, [items.length === 0, more, none], () => fill(body, items.length === 0
      ? h("p", { class: "row muted" }, none === "tenants.none" ? [t(none), h("a", { href: "#/" }, t("tenants.add"))] : [icon("check"), t(none)])
      : [node, more > 0 && h("p", { class: "muted" }, t("overview.more", { n: number(more) }))]));
  }

  /** Who comes here first has not heard from the list what tenants are called. */
  async function askNames(found) {
    const tenants = [...found.attention, ...found.webhooks].map(({ tenant }) => tenant).filter((tenant) => tenant && !isNamed(tenant) && !asked.has(tenant));
    const unknown = [...new Set(tenants)].slice(0, Math.max(0, MOST_NAMES - asked.size));
    if (unknown.length === 0) return;
    for (const tenant of unknown) asked.add(tenant);
    const records = await Promise.all(unknown.map((tenant) => get(path`api/tenant/${tenant}`).then((answer) => answer.tenant, () => null)));
    learnNames(records.filter(Boolean));
    if (!closed) draw(found);
  }

  function looksAgain() {
    if (!document.hidden) look();
  }

  document.addEventListener("visibilitychange", looksAgain);
  look();
  return {
    title: t("nav.overview"),
    node: h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, t("nav.overview")), summary), place),
    update(next) {
      return next.name === "overview";
    },
    close() {
      closed = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", looksAgain);
    },
  };
}

function section(title) {
  const id = unique("section");
  const body = h("div", { class: "body" });
  return { title, body, node: h("section", { class: "panel", "aria-labelledby": id }, h("header", null, h("h2", { id }, t(title))), body) };
}

function link(tenant, part = "") {
  return h("a", { href: path`#/t/${tenant}` + part }, name(nameOf(tenant)));
}

function needRow(need) {
  const who = need.tenant ? link(need.tenant) : h("strong", null, t("overview.daemon"));
  const node = h("li", { class: "need" }, h("div", { class: "row" }, who, h("span", { class: "chip bad" }), h("span", { class: "muted small" })), h("p", { class: "reason muted small" }), h("p"));
  updateNeed(node, need);
  return node;
}

function updateNeed(node, { tenant, title, reason, since: begun, advice }) {
  const [head, why, what] = node.children;
  const [who, chip, time] = head.children;
  if (tenant) fill(who, name(nameOf(tenant)));
  fill(chip, title);
  fill(time, begun && since(begun));
  fill(why, reason && serverWords(reason));
  fill(what, advice);
}

function webhookRow(row) {
  const node = h("li", { class: "need" }, h("div", { class: "row" }, link(row.tenant, "/webhooks"), h("span", { class: "tags" })));
  updateWebhook(node, row);
  return node;
}

function updateWebhook(node, row) {
  const [who, tags] = node.firstChild.children;
  fill(who, name(nameOf(row.tenant)));
  const tag = (key, kind) => row[key] > 0 && h("span", { class: `chip plain ${kind}` }, t(`overview.webhooks.${key}`, { n: number(row[key]) }));
  fill(tags, tag("failing", "bad"), tag("gone", "bad"), tag("parked", "wait"), tag("owed", ""));
}

function vaultFacts(vault) {
  const state = !vault.up ? ["bad", t("overview.vault.down")] : vault.stalled > 0 ? ["wait", t("overview.vault.stalled", { n: number(vault.stalled) })] : ["good", t("overview.vault.up")];
  const fact = (words, ...said) => [h("dt", null, t(words)), h("dd", null, said)];
  const counts = { reads: number(vault.reads), writes: number(vault.writes), deletes: number(vault.deletes) };
  return [
    h("dl", { class: "facts" },
      fact("overview.vault.state", h("span", { class: `chip ${state[0]}` }, state[1])),
      fact("overview.vault.backlog", h("span", { class: "numbers" }, number(vault.backlog))),
      fact("overview.vault.documents", t("overview.vault.counts", counts)),
      fact("overview.vault.since", since(vault.since)),
      fact("overview.vault.cost", cost(vault.dollars))),
    vault.dollars !== null && h("p", { class: "muted small" }, t("overview.vault.about")),
  ];
}

function cost(dollars) {
  if (dollars === null) return t("overview.vault.free");
  // A cent is the least that is written.
  return dollars > 0 && dollars < 0.01 ? t("overview.vault.little", { money: money(10, "USD") }) : money(dollars * 1000, "USD");
}

function alertsOf({ channels, sent }) {
  const how = h("a", { href: "../docs/guide/watching#alerts-from-the-daemon" }, t("overview.alerts.how"));
  const channel = ({ channel, working, pending }) =>
    h("span", { class: `chip ${working ? "good" : "bad"}` }, channel, pending > 0 && ` · ${t("overview.alerts.pending", { n: number(pending) })}`);
  const alert = ({ at, title, state, tenants, total }) =>
    h("li", null, h("span", { class: `chip ${state === "firing" ? "bad" : "good"}` }, t(`overview.alerts.${state}`)), " ", title, tenants.length > 0 && [": ", among(tenants), total > tenants.length && ` ${t("overview.more", { n: number(total - tenants.length) })}`], " ", h("span", { class: "muted small" }, since(at)));
  return [
    channels.length === 0 ? h("p", { class: "muted" }, t("overview.alerts.off"), " ", how) : h("div", { class: "tags" }, channels.map(channel)),
    sent.length > 0 ? h("ul", { class: "told" }, sent.map(alert)) : channels.length > 0 && h("p", { class: "row muted" }, icon("check"), t("overview.alerts.none")),
  ];
}

function among(tenants) {
  return tenants.map((tenant, n) => [n > 0 && ", ", name(nameOf(tenant))]);
}
