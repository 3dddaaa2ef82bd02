// One message: who wrote it, what it answers, what it says, what became of it.

import { fill, h } from "./dom.js";
import { content, summary } from "./content.js";
import { address, messageTime } from "./format.js";
import { icon } from "./icons.js";
import { label, name } from "./text.js";
import { t } from "./words.js";

const SIGNS = { sending: "clock", unsent: "alert", accepted: "clock", sent: "check", delivered: "checks", read: "checks", played: "checks", failed: "alert" };

/** How far a message of ours has come. */
export function tick(message) {
  const { status } = message;
  if (!SIGNS[status]) return null;
  return h("span", { class: `tick ${status}`, "data-status": status, title: t(`status.${status}`) }, icon(SIGNS[status]), h("span", { class: "hidden-text" }, t(`status.${status}`)));
}

export function bubble(message, { group, follows, files, find, reply, talk }) {
  const { fromMe, revoked } = message;
  const box = h("div", { class: "bubble" });
  if (!fromMe && group && !follows) box.append(h("p", { class: "author" }, name(label(message.pushName) || message.from)));
  if (message.content.forwarded || message.forwarded) box.append(h("p", { class: "small muted" }, t("message.forwarded")));
  if (message.quotedMessage && !revoked) box.append(quote(message, find));
  box.append(revoked ? h("p", { class: "gone" }, icon("none"), t("message.revoked")) : content(message, files));
  box.append(h("p", { class: "meta" },
    message.edited && !revoked && h("span", null, t("message.edited")),
    messageTime(message.timestamp),
    fromMe && tick(message)));
  const node = h("li", { class: `message${fromMe ? " own" : ""}${follows ? " follows" : ""}`, "data-id": message.id, "data-kind": message.content.kind },
    h("span", { class: "hidden-text" }, fromMe ? t("message.you") : t("message.by", { name: label(message.pushName) || message.from })),
    h("div", { class: "line" },
      box,
      !revoked && message.cursor && h("button", { type: "button", class: "button quiet icon-only answer", "aria-label": t("message.reply_to", { text: summary(message).slice(0, 60) }), title: t("message.reply"), onclick: () => reply(message) }, icon("reply"))));
  if (message.reactions.length > 0 && !revoked) node.append(reactions(message.reactions));
  if (message.status === "unsent") node.append(unsent(message, talk));
  if (message.status === "failed") node.append(h("p", { class: "bad-text small" }, t("message.failed")));
  return node;
}

function quote(message, find) {
  const { quotedMessage } = message;
  const found = find(quotedMessage.id);
  const known = found ?? message.quotedAuthor;
  const by = known ? (known.fromMe ? t("message.yours") : label(known.pushName) || known.from) : address(quotedMessage.participant);
  return h("blockquote", null, h("p", { class: "author" }, name(by)), h("p", { class: "cut2", dir: "auto" }, found ? summary(found) : label(quotedMessage.text) || t("kind.message")));
}

/** Equal ones together; who gave them is their title. */
function reactions(all) {
  const by = new Map();
  for (const { emoji, from, fromMe } of all) {
    const shown = [...label(emoji)].slice(0, 8).join("");
    by.set(shown, [...(by.get(shown) ?? []), fromMe ? t("message.you_short") : from]);
  }
  return h("ul", { class: "reactions", "aria-label": t("message.reactions") },
    [...by].map(([emoji, who]) => h("li", { title: who.join(", ") }, h("bdi", null, emoji), who.length > 1 && h("span", { class: "numbers" }, who.length), h("span", { class: "hidden-text" }, who.join(", ")))));
}

function unsent(message, talk) {
  const node = h("div", { class: "unsent", role: "alert" });
  fill(node, h("span", null, t("message.unsent", { reason: message.error ?? "" })),
    h("button", { type: "button", class: "button small", onclick: () => talk.resend(message) }, icon("refresh"), t("retry")),
    h("button", { type: "button", class: "button small quiet", onclick: () => talk.discard(message) }, t("discard")));
  return node;
}
