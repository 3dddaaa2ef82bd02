// A tenant's webhooks: how each is set up and how it goes, and what could not be delivered.

import { get, path, post } from "./api.js";
import { fill, h } from "./dom.js";
import { action, toast, words } from "./dialog.js";
import { when } from "./format.js";
import { icon } from "./icons.js";
import { label, name, serverWords } from "./text.js";
import { t } from "./words.js";

const EVERY_MS = 5000;
const CHIPS = { ok: "good", failing: "wait", gone: "bad", crashed: "bad" };

export function webhooksPart({ tenant }) {
  const hooks = h("div", { class: "hooks" });
  const failures = h("div");
  const node = h("div", { class: "page narrow" },
    h("h2", null, t("tenant.webhooks")), hooks,
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
    fill(hooks, webhooks.length > 0 ? webhooks.map(card) : h("div", { class: "panel" }, h("div", { class: "empty" }, icon("hook"), h("p", null, t("hooks.none")), h("code", { class: "small" }, `PUT /api/${tenant}/webhooks`))));
    fill(failures, failed.length > 0 ? table(failed) : h("p", { class: "muted" }, t("hooks.no_failures")));
  }

  function card(hook) {
    const { status = {}, retries } = hook;
    const fact = (words, value) => value && [h("dt", null, t(words)), h("dd", null, value)];
    const tags = (texts) => h("div", { class: "tags" }, texts.map((text) => h("span", { class: "chip plain" }, name(text))));
    return h("section", { class: "panel", "aria-label": label(hook.url) },
      h("header", null, h("h3", { class: "mono" }, name(hook.url)), status.state && h("span", { class: `chip ${CHIPS[status.state]}`, "data-hook": status.state }, t(`hooks.state.${status.state}`))),
      h("div", { class: "body" }, h("dl", { class: "facts" },
        fact("hooks.events", tags(hook.events)),
        fact("hooks.signature", t(hook.hmac ? "hooks.signed" : "hooks.unsigned")),
        fact("hooks.retries", t("hooks.retries.words", { attempts: retries.attempts, policy: t(`hooks.policy.${retries.policy}`), delay: retries.delaySeconds })),
        hook.customHeaders.length > 0 && fact("hooks.headers", tags(hook.customHeaders.map((header) => header.name))),
        status.owed > 0 && fact("hooks.owed", String(status.owed)),
        status.lastError && fact("hooks.error", serverWords(status.lastError)))));
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
