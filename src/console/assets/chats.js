// Conversations: the list of them beside the one that is open. On a phone one of the two.

import { get, path } from "./api.js";
import { arrows, fill, h, list } from "./dom.js";
import { field, form, show } from "./dialog.js";
import { address, listTime } from "./format.js";
import { icon } from "./icons.js";
import { summary } from "./content.js";
import { placeOf } from "./place.js";
import { initials, label, name } from "./text.js";
import { threadView } from "./thread.js";
import { standing } from "./thread_bot.js";
import { tick } from "./bubble.js";
import { t } from "./words.js";

/** What a chat is called. A group's own name is not what one of its members calls himself. */
export function chatName(chat, id) {
  if (isGroup(id)) return label(chat?.subject) || t("chats.group", { id: id.split("@")[0].slice(-6) });
  return label(chat?.name) || address(id);
}

export function isGroup(id) {
  return id.endsWith("@g.us");
}

export function talkPart({ tenant, talk, bots, session, to }) {
  let thread = null;
  let chosen = null;
  let areCallsAlone = false;

  const search = h("input", { class: "input", type: "search", "aria-label": t("chats.search"), placeholder: t("chats.search"), value: placeOf(to.query).q, oninput: searched });
  const calls = h("button", { type: "button", class: "button small chats-calls", hidden: true, onclick: () => { areCallsAlone = !areCallsAlone; draw(); } });
  const items = h("ul", { class: "chat-list", "aria-label": t("tenant.talk") });
  const hint = h("div");
  const side = h("section", { class: "chats", "aria-label": t("chats.list") },
    h("div", { class: "chats-head" },
      h("div", { class: "search" }, icon("search"), search),
      h("button", { type: "button", class: "button icon-only", "aria-label": t("chats.new"), title: t("chats.new"), onclick: write }, icon("plus"))),
    calls, items, hint);
  const place = h("div", { class: "thread-place" });
  const node = h("div", { class: "talk" }, side, place);
  arrows(items, "a");

  /** A place among the conversations: which one is open, and what is searched. */
  function href(id) {
    const searching = search.value ? `?${new URLSearchParams({ q: search.value })}` : "";
    return (id ? path`#/t/${tenant}/talk/${id}` : path`#/t/${tenant}/talk`) + searching;
  }

  function searched() {
    talk.address = href(chosen);
    history.replaceState(history.state, "", talk.address);
    draw();
  }

  function draw() {
    const wanted = search.value.trim().toLocaleLowerCase();
    const fits = (chat) => `${label(chat.name)} ${label(chat.subject)} ${chat.id}`.toLocaleLowerCase().includes(wanted);
    const calling = (talk.chats ?? []).filter((chat) => bots.need(chat.id));
    areCallsAlone &&= calling.length > 0;
    const shown = (areCallsAlone ? calling : talk.chats ?? []).filter(fits);
    const version = (chat) => `${chat.last.rev} ${chat.last.id} ${chat.name} ${chat.subject} ${chat.unseen} ${bots.need(chat.id)} ${chat.id === chosen} ${search.value} ${new Date().toDateString()}`;
    dressCalls(calling.length);
    list(items, shown, { key: (chat) => chat.id, version, make: item, update: dress });
    fill(hint, emptiness(shown));
  }

  /** How many want a human: they may be far down in the list. */
  function dressCalls(n) {
    const said = n > 0 ? t("takeover.waiting", { n }) : "";
    calls.hidden = n === 0;
    calls.setAttribute("aria-pressed", String(areCallsAlone));
    if (calls.textContent !== said) fill(calls, said && icon("person"), said);
  }

  function emptiness(shown) {
    if (talk.failure) {
      return h("div", { class: "empty" }, icon("alert"), h("p", null, talk.failure), h("button", { type: "button", class: "button", onclick: () => talk.reload() }, icon("refresh"), t("retry")));
    }
    if (talk.chats === null) return h("div", { class: "empty" }, h("p", { role: "status" }, t("loading")));
    if (talk.chats.length === 0) return h("div", { class: "empty" }, icon("chat"), h("p", null, t("chats.none")));
    if (shown.length === 0) return h("div", { class: "empty" }, h("p", null, t("tenants.no_match")));
    return talk.moreChats && h("p", { class: "muted small pad" }, t("chats.more"));
  }

  function item(chat) {
    const node = h("li", null, h("a", { class: "chat" }));
    dress(node, chat);
    return node;
  }

  function dress(node, chat) {
    const link = node.firstChild;
    link.setAttribute("href", href(chat.id));
    if (chat.id === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const { last } = chat;
    const need = bots.need(chat.id);
    fill(link,
      h("span", { class: "face", "aria-hidden": "true" }, isGroup(chat.id) ? icon("group") : initials(chat.name)),
      h("span", { class: "top" }, name(chatName(chat, chat.id), { class: "cut who-name" }), h("span", { class: "small muted" }, listTime(last.timestamp))),
      h("span", { class: "bottom" },
        last.fromMe && tick(last),
        h("bdi", { class: "cut muted" }, isGroup(chat.id) && !last.fromMe ? `${label(last.pushName) || last.from}: ${summary(last)}` : summary(last)),
        need && standing(need),
        chat.unseen > 0 && h("span", { class: "unseen" }, h("span", { class: "hidden-text" }, t("chats.unseen")), chat.unseen)));
  }

  function choose(id) {
    if (id === chosen) return;
    thread?.close();
    thread = null;
    chosen = id;
    talk.address = href(id);
    node.classList.toggle("has-thread", Boolean(id));
    if (id) {
      thread = threadView({ talk, bots, chat: id, session, back: () => href(null) });
      fill(place, thread.node);
      thread.shown();
      talk.seen(id);
    } else {
      fill(place, h("div", { class: "empty" }, icon("chat"), h("p", null, t("chats.choose"))));
    }
    draw();
  }

  /** To a number that has not written yet. */
  function write() {
    show(t("chats.new"), (close, head) => {
      const number = field({ label: t("code.number"), hint: t("code.number.hint"), names: ["phone"], type: "tel", inputmode: "tel" });
      const submit = async () => {
        // A LID is no number, and is written with its ending.
        const typed = number.input.value.trim();
        const lid = /^\d{1,20}@lid$/.test(typed);
        const digits = typed.includes("@") ? "" : typed.replace(/\D/g, "");
        if (!lid && (digits.length < 7 || digits.length > 15)) {
          number.say("expected a phone number with its country code");
          return number.input.focus();
        }
        // Without a plus the country may be left out, and who is meant is not for this page to guess.
        const found = lid || typed.startsWith("+") ? null : await get(`api/contacts/check-exists?${new URLSearchParams({ session: tenant, phone: typed })}`);
        if (found && !found.numberExists) {
          number.tell(t("chats.nobody"));
          return number.input.focus();
        }
        const known = found?.chatId?.replace(/@c\.us$/, "@s.whatsapp.net");
        close("");
        location.hash = href(known ?? (lid ? typed : `${digits}@s.whatsapp.net`));
      };
      return form({
        fields: [number], submit, children: [head, number.node],
        foot: h("div", { class: "row end" }, h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")), h("button", { type: "submit", class: "button primary" }, t("chats.open"))),
      });
    });
  }

  const unlisten = talk.listen((what, chat) => {
    if (what === "chats") draw();
    if (what === "arrived" && chat === chosen && !document.hidden) talk.seen(chat);
  });
  const unlistenBots = bots.listen(draw);
  /** What came while nobody looked is seen by who comes back. */
  function looksAgain() {
    if (chosen && !document.hidden) talk.seen(chosen);
  }

  document.addEventListener("visibilitychange", looksAgain);
  chosen = undefined;
  choose(to.chat);
  if (talk.chats === null && talk.failure === null) draw();
  const { scrolled } = talk;
  requestAnimationFrame(() => { items.scrollTop = scrolled; });

  return {
    node,
    update(next) {
      session = next.session;
      thread?.update(session);
      // Another address, and not only other news of the session: what is typed here has changed the address without a step.
      const { q } = placeOf(next.to.query);
      if (next.to !== to && q !== search.value) {
        search.value = q;
        draw();
      }
      to = next.to;
      choose(next.to.chat);
    },
    close() {
      talk.scrolled = items.scrollTop;
      unlisten();
      unlistenBots();
      document.removeEventListener("visibilitychange", looksAgain);
      thread?.close();
    },
  };
}
