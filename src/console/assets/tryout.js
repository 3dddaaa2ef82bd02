// A talk with the bot that touches no customer, beside what it understood. It goes on where it was left when another part was looked at.

import { get, path, post } from "./api.js";
import { note, toast, words } from "./dialog.js";
import { fill, h, list } from "./dom.js";
import { icon } from "./icons.js";
import { label, written } from "./text.js";
import { understood } from "./tryout_heard.js";
import { taught } from "./tryout_teach.js";
import { t } from "./words.js";

const MOST_CHARS = 4096;

/** By tenant: what was said, each `{ text, answer, before }`, `before` the conversation that the text came into; and what is not sent yet. */
const talks = new Map();

export function tryPart({ tenant }) {
  const kept = talks.get(tenant) ?? { turns: [], draft: "" };
  const { turns } = kept;
  talks.set(tenant, kept);
  let items = [];
  let busy = false;
  let closed = false;

  const said = h("div", { role: "alert" });
  const log = h("ol", { class: "messages" });
  const scroll = h("div", { class: "tryout-scroll", tabindex: 0, role: "log", "aria-label": t("tryout.talk") }, log);
  const box = h("textarea", { class: "input", rows: 2, dir: "auto", maxlength: MOST_CHARS, value: kept.draft, "aria-label": t("tryout.box"), placeholder: t("tryout.example"), onkeydown: keys, oninput: keep });
  const button = h("button", { type: "submit", class: "button primary icon-only", "aria-label": t("tryout.send"), title: t("tryout.send") }, icon("send"));
  const again = h("button", { type: "button", class: "button", onclick: restart }, icon("refresh"), t("tryout.again"));
  const heard = h("div", { class: "body" });
  const node = h("div", { class: "tryout" },
    h("div", { class: "page-head" }, h("div", null, h("h2", null, t("bot.try")), h("p", { class: "muted" }, t("tryout.text"))), again),
    said,
    h("div", { class: "tryout-pair" },
      h("section", { class: "panel tryout-talk", "aria-label": t("bot.try") }, scroll, h("form", { class: "composer", onsubmit: submit }, h("div", { class: "composer-row" }, box, button))),
      h("section", { class: "panel" }, h("header", null, h("h3", null, t("tryout.heard"))), heard)));

  function keep() {
    kept.draft = box.value;
  }

  function keys(event) {
    // Enter also ends a word that an input method is composing.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    box.form.requestSubmit();
  }

  async function submit(event) {
    event.preventDefault();
    const text = box.value.trim();
    if (!text || busy) return box.focus();
    // It stays in the box until there is an answer.
    if (await say(text, turns.at(-1)?.answer.conversation)) {
      // What was typed meanwhile is another text.
      if (box.value.trim() === text) box.value = "";
      keep();
      if (!closed) box.focus();
    }
  }

  /** Whether the bot has answered. With `instead` the last text is said again. */
  async function say(text, before, { instead = false } = {}) {
    busy = true;
    button.setAttribute("aria-busy", "true");
    again.disabled = true;
    fill(said);
    try {
      const [answer, menu] = await Promise.all([post(path`api/${tenant}/bot/try`, before ? { text, conversation: before } : { text }), get(path`api/${tenant}/bot/menu`)]);
      if (instead) turns.pop();
      turns.push({ text, answer, before });
      ({ items } = menu);
      return true;
    } catch (problem) {
      if (!closed) fill(said, note("bad", words(problem)));
      return false;
    } finally {
      busy = false;
      button.removeAttribute("aria-busy");
      if (!closed) draw();
    }
  }

  function restart() {
    turns.length = 0;
    fill(said);
    draw();
    box.focus();
  }

  /** A dish is also called so from now on; the bot hears the same text once more. */
  async function teach(word, id) {
    if (busy) return;
    const { text, before } = turns.at(-1);
    const result = await taught(tenant, word, id);
    if (closed) return;
    if (result.flaw) return fill(said, note("bad", result.flaw));
    if (await say(text, before, { instead: true })) toast(t("tryout.taught", { word: label(word), name: label(result.name) }));
    heard.querySelector("button, select")?.focus();
    if (!heard.contains(document.activeElement)) box.focus();
  }

  function draw() {
    // What is there already is not said once more to those who listen.
    list(log, turns.length > 0 ? turns.flatMap(spoken) : [{ key: "begin", aside: t("tryout.begin") }], {
      key: (one) => one.key,
      version: (one) => one.text ?? one.aside,
      make: (one) => (one.aside ? h("li", { class: "day" }, h("span", null, one.aside)) : bubble(one.text, one.own)),
    });
    again.disabled = turns.length === 0;
    fill(heard, turns.length === 0 ? h("p", { class: "muted" }, t("tryout.heard.none")) : understood(turns.at(-1).answer, items, { teach }));
    scroll.scrollTop = scroll.scrollHeight;
  }

  /** A talk that was left shows its prices as they are now. */
  async function load() {
    try {
      ({ items } = await get(path`api/${tenant}/bot/menu`));
    } catch (problem) {
      if (!closed) fill(said, note("bad", words(problem)));
    }
    if (!closed && !busy) draw();
  }

  draw();
  if (turns.length > 0) load();
  return { node, close() { closed = true; } };
}

/** What stands in the log of one turn. */
function spoken({ text, answer }, at) {
  const said = [{ key: `${at}`, text, own: true }, ...answer.replies.map((reply, n) => ({ key: `${at} ${n}`, text: reply, own: false }))];
  if (answer.replies.length === 0) said.push({ key: `${at} aside`, aside: t(answer.conversation?.silence ? "tryout.silent" : "tryout.nothing") });
  return said;
}

function bubble(text, own) {
  return h("li", { class: own ? "message own" : "message" },
    h("span", { class: "hidden-text" }, t(own ? "tryout.you" : "tryout.bot")),
    h("div", { class: "line" }, h("div", { class: "bubble" }, written(text))));
}
