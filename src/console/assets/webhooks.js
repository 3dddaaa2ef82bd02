// A tenant's webhooks: how each is set up and how it goes, what could not be delivered; setting them up, changing and removing them.

import { get, path, post, put } from "./api.js";
import { fill, h } from "./dom.js";
import { action, confirm, toast, words } from "./dialog.js";
import { when } from "./format.js";
import { EVERY } from "./events.js";
import { editWebhook } from "./hookform.js";
import { icon } from "./icons.js";
import { label, name, serverWords } from "./text.js";
import { t } from "./words.js";

const EVERY_MS = 5000;
const CHIPS = { ok: "good", failing: "wait", gone: "bad", crashed: "bad" };

export function webhooksPart({ tenant }) {
  const hooks = h("div", { class: "hooks" });
  const failures = h("div");
  const node = h("div", { class: "page narrow" },
    h("div", { class: "page-head" }, h("h2", null, t("tenant.webhooks")),
      h("button", { type: "button", class: "button primary", onclick: () => edit(null) }, icon("plus"), t("hooks.add"))),
    hooks,
    h("h2", null, t("hooks.failures")), failures);
  let timer = null;
  let closed = false;
  /** What is shown: what did not change is left alone, with the focus that may be in it. */
  let shown = "";

  async function look() {
    clearTimeout(timer);
    try {
      const [settings, failed] = await Promise.all([get(path`api/${tenant}/webhooks`), get(path`api/${tenant}/webhooks/failures`)]);
      if (closed) return;
      const now = JSON.stringify([settings, failed]);
      if (now !== shown) draw(settings.webhooks, failed.failures);
      shown = now;
    } catch (problem) {
      if (closed) return;
      shown = "";
      fill(hooks, h("div", { class: "note bad", role: "alert" }, icon("alert"), words(problem)));
      fill(failures);
    }
    if (!document.hidden) timer = setTimeout(look, EVERY_MS);
  }

  function draw(webhooks, failed) {
    fill(hooks, webhooks.length > 0 ? webhooks.map(card) : h("div", { class: "panel" }, h("div", { class: "empty" }, icon("hook"), h("p", null, t("hooks.none")), h("p", { class: "small" }, t("hooks.none.hint")))));
    fill(failures, failed.length > 0 ? table(failed) : h("p", { class: "muted" }, t("hooks.no_failures")));
  }

  /**
   * All of them are put at once, so that they are read anew before: `change(webhooks)` gives what they become. What this console does not know
   * of the settings stays as it is.
   */
  async function save(change) {
    const settings = await get(path`api/${tenant}/webhooks`);
    await put(path`api/${tenant}/webhooks`, { ...settings, webhooks: change(settings.webhooks) });
    await look();
  }

  function edit(hook) {
    editWebhook(hook, async (edited) => {
      // Where it stands when it is saved: the server's word for a mistake has this number.
      let at = -1;
      try {
        await save((webhooks) => {
          at = webhooks.findIndex((one) => one.id === hook?.id);
          if (at < 0) at = webhooks.length;
          return [...webhooks.slice(0, at), edited, ...webhooks.slice(at + 1)];
        });
      } catch (problem) {
        for (const error of problem.errors ?? []) error.field = error.field.replace(`webhooks[${at}].`, "");
        throw problem;
      }
    });
  }

  const drop = (hook) => action(async () => {
    if (!(await confirm(t("hooks.drop.title"), t("hooks.drop.text", { url: label(hook.url) }), t("hooks.drop")))) return;
    await save((webhooks) => webhooks.filter((one) => one.id !== hook.id));
    toast(t("hooks.dropped"));
  });

  function card(hook) {
    const { status = {}, retries } = hook;
    const fact = (words, value) => value && [h("dt", null, t(words)), h("dd", null, value)];
    const tags = (texts) => h("div", { class: "tags" }, texts.map((text) => h("span", { class: "chip plain" }, name(text))));
    return h("section", { class: "panel", "aria-label": label(hook.url) },
      h("header", null, h("h3", { class: "mono" }, name(hook.url)), status.state && h("span", { class: `chip ${CHIPS[status.state]}`, "data-hook": status.state }, t(`hooks.state.${status.state}`))),
      h("div", { class: "body" }, h("dl", { class: "facts" },
        fact("hooks.events", tags(hook.events.map((event) => (event === EVERY ? t("hooks.events.every") : event)))),
        fact("hooks.signature", t(hook.hmac ? "hooks.signed" : "hooks.unsigned")),
        fact("hooks.retries", t("hooks.retries.words", { attempts: retries.attempts, policy: t(`hooks.policy.${retries.policy}`), delay: retries.delaySeconds })),
        hook.customHeaders.length > 0 && fact("hooks.headers", tags(hook.customHeaders.map((header) => header.name))),
        status.owed > 0 && fact("hooks.owed", String(status.owed)),
        status.lastError && fact("hooks.error", serverWords(status.lastError))),
      h("div", { class: "row" },
        h("button", { type: "button", class: "button small", "aria-label": t("hooks.edit.of", { url: label(hook.url) }), onclick: () => edit(hook) }, icon("edit"), t("hooks.edit")),
        h("button", { type: "button", class: "button small danger", "aria-label": t("hooks.drop.of", { url: label(hook.url) }), onclick: drop(hook) }, icon("trash"), t("hooks.drop")))));
  }

  function table(failed) {
    const again = async (id) => {
      const { redriven } = await post(id === null ? path`api/${tenant}/webhooks/failures/redrive` : path`api/${tenant}/webhooks/failures/${id}/redrive`);
      toast(t("hooks.redriven", { n: redriven }));
      await look();
    };
    const column = (words) => h("th", { role: "columnheader", scope: "col" }, t(words));
    const row = (failure) => h("tr", { role: "row", "data-failure": failure.id },
      h("td", { role: "cell" }, failure.kind === "gap" ? h("strong", null, t("hooks.gap")) : [h("strong", null, failure.events.join(", ")), h("span", { class: "sub numbers" }, failure.chatId ? name(failure.chatId) : "")]),
      h("td", { role: "cell" }, serverWords(failure.error), h("span", { class: "sub mono" }, name(failure.url))),
      h("td", { role: "cell" }, when(failure.parkedAt), h("span", { class: "sub" }, t("hooks.attempts", { n: failure.attempts }))),
      h("td", { role: "cell" }, h("button", { type: "button", class: "button small", onclick: action(() => again(failure.id)) }, icon("refresh"), t("hooks.redrive"))));
    return h("div", { class: "panel" },
      h("header", null, h("h3", null, t("hooks.count", { n: failed.length })), h("button", { type: "button", class: "button", onclick: action(() => again(null)) }, icon("refresh"), t("hooks.redrive_all"))),
      h("table", { class: "table failures", role: "table", "aria-label": t("hooks.failures") },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, column("hooks.what"), column("hooks.error"), column("hooks.when"), column("actions"))),
        h("tbody", { role: "rowgroup" }, failed.map(row))));
  }

  function looksAgain() {
    if (!document.hidden) look();
  }

  document.addEventListener("visibilitychange", looksAgain);
  fill(hooks, h("p", { role: "status" }, t("loading")));
  look();
  return {
    node,
    close() {
      closed = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", looksAgain);
    },
  };
}
