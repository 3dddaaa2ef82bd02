// One conversation: its messages by day, the newest below, older ones as one goes up, and the box to answer.

import { fill, h, list } from "./dom.js";
import { composer } from "./composer.js";
import { bubble } from "./bubble.js";
import { chatName, isGroup } from "./chats.js";
import { summary } from "./content.js";
import { Files } from "./files.js";
import { address, day } from "./format.js";
import { gathering } from "./gathering.js";
import { icon } from "./icons.js";
import { name } from "./text.js";
import { identity } from "./talk.js";
import { threadBot } from "./thread_bot.js";
import { t } from "./words.js";

/** Pixels from the end within which one is at the end. */
const NEAR = 80;

/** More messages that come at once are counted for those who listen, and not read aloud. */
const MOST_SAID = 3;

/** `back()` is the address of the list of conversations. */
export function threadView({ talk, bots, chat, session, back }) {
  const thread = talk.open(chat);
  const bot = threadBot({ bots, chat });
  const files = new Files();
  const title = h("h2", { tabindex: -1 });
  const log = h("ol", { class: "messages" });
  const top = h("div", { class: "thread-top" });
  const scroll = h("div", { class: "thread-scroll", tabindex: 0, role: "region", "aria-label": t("thread.messages") }, top, log);
  const said = h("div", { class: "hidden-text", role: "log", "aria-live": "polite" });
  const arrivals = gathering((messages) => {
    const called = chatName(talk.chat(chat), chat);
    const aloud = messages.length > MOST_SAID ? [t("thread.said.many", { name: called, n: messages.length })] : messages.map((message) => t("thread.said", { name: called, text: summary(message) }));
    said.append(...aloud.map((words) => h("p", null, words)));
    while (said.childElementCount > 5) said.firstChild.remove();
  });
  const down = h("button", { type: "button", class: "button to-end", hidden: true, onclick: () => toEnd() }, icon("down"), t("thread.newest"));
  const write = composer({
    send(text, quoted) {
      talk.send(chat, text, quoted);
      toEnd();
    },
    leave: () => document.querySelector(".chat[aria-current]")?.focus(),
  });
  const node = h("section", { class: "thread", "aria-label": t("thread.with", { name: chatName(talk.chat(chat), chat) }) },
    h("header", { class: "thread-head" },
      h("a", { class: "button quiet icon-only only-narrow", href: back(), "aria-label": t("thread.back") }, icon("back")),
      h("div", { class: "thread-title" }, title, h("p", { class: "muted small numbers" }, address(chat))),
      bot.node),
    h("div", { class: "thread-body" }, scroll, down), said, write.node);
  let shownTitle = null;

  function draw() {
    const known = talk.chat(chat);
    const called = chatName(known, chat);
    if (called !== shownTitle) fill(title, name(called));
    shownTitle = called;

    const current = talk.threads.get(chat) ?? thread;
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR;
    const first = log.firstElementChild;
    const before = first ? first.getBoundingClientRect().top : 0;
    list(log, items(current.messages), {
      key: (item) => item.key,
      version: (item) => item.version,
      make: (item) => (item.day ? h("li", { class: "day" }, h("span", null, item.day)) : bubble(item.message, { group: isGroup(chat), follows: item.follows, files, find, reply: write.quote, talk })),
    });
    fill(top, topOf(current));
    if (atEnd) scroll.scrollTop = scroll.scrollHeight;
    // Older ones came above: what one reads stays where it is.
    else if (first?.isConnected) scroll.scrollTop += first.getBoundingClientRect().top - before;
    noteEnd();
  }

  function topOf(current) {
    const older = () => talk.older(chat);
    const retry = () => talk.retry(chat);
    if (current.loading) return h("p", { class: "muted", role: "status" }, t("loading"));
    if (current.failure) return [h("p", { class: "bad-text" }, current.failure), h("button", { type: "button", class: "button small", onclick: retry }, icon("refresh"), t("retry"))];
    if (current.more) return h("button", { type: "button", class: "button small", onclick: older }, t("thread.older"));
    return h("p", { class: "muted small" }, current.messages.length > 0 ? t("thread.beginning") : t("thread.empty"));
  }

  /** The message that another one quotes, as far as it is here. */
  function find(id) {
    return (talk.threads.get(chat) ?? thread).messages.find((message) => message.id === id) ?? null;
  }

  function toEnd() {
    scroll.scrollTop = scroll.scrollHeight;
    noteEnd();
  }

  function noteEnd() {
    down.hidden = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 4 * NEAR;
  }

  scroll.addEventListener("scroll", () => {
    noteEnd();
    if (scroll.scrollTop < 2 * NEAR && scroll.scrollHeight > scroll.clientHeight) talk.older(chat);
  }, { passive: true });

  const unlisten = talk.listen((what, where, message) => {
    if (where === chat && what === "thread") draw();
    if (where === chat && what === "arrived") arrivals.add(message);
    if (what === "chats" && shownTitle !== chatName(talk.chat(chat), chat)) draw();
  });

  draw();
  write.able(session.paired);
  return {
    node,
    /** Now that it is in the page. */
    shown() {
      toEnd();
      // On a phone the keyboard would cover what one came to read.
      if (matchMedia("(pointer: fine)").matches) write.focus();
      else title.focus();
    },
    update: (now) => write.able(now.paired),
    close() {
      unlisten();
      arrivals.close();
      bot.close();
      files.close();
    },
  };
}

/** Messages with the days between them. One that follows another of the same author soon after it stands close to it. */
function items(messages) {
  const found = [];
  let lastDay = null;
  let before = null;
  for (const message of messages) {
    const at = new Date(message.timestamp);
    if (at.toDateString() !== lastDay) {
      lastDay = at.toDateString();
      before = null;
      found.push({ key: `day ${lastDay}`, version: day(at), day: day(at) });
    }
    const follows = before !== null && before.fromMe === message.fromMe && before.from === message.from && at - new Date(before.timestamp) < 300_000;
    found.push({ key: identity(message), version: `${message.rev} ${follows} ${message.mediaUrl ?? ""}`, message, follows });
    before = message;
  }
  return found;
}
