// What a message says, by its kind: as it is shown in a bubble, and in one line for lists, quotes and those who listen.

import { h } from "./dom.js";
import { money, number } from "./format.js";
import { icon } from "./icons.js";
import { unmarked } from "./marks.js";
import { label, name, written } from "./text.js";
import { t } from "./words.js";

/** In one line, as text. */
export function summary(message) {
  if (message.revoked) return t("message.revoked");
  const { content } = message;
  // Of a long text no more is looked at than a line may need.
  const said = label(unmarked(String(textOf(content) ?? "").slice(0, 640))).slice(0, 160);
  switch (content.kind) {
    case "text":
    case "choice":
      return said;
    case "unknown":
      return said || t("kind.unknown");
    case "undecryptable":
      return t("kind.undecryptable");
    default: {
      const kind = t(`kind.${content.kind === "audio" && content.voice ? "voice" : content.kind}`);
      return said ? `${kind}: ${said}` : kind;
    }
  }
}

function textOf(content) {
  switch (content.kind) {
    case "location":
      return content.name || content.address;
    case "contact":
      return content.contacts.map((contact) => contact.name).join(", ");
    case "poll":
      return content.name;
    case "document":
      return content.caption || content.file_name;
    case "order":
      return content.text || content.title;
    default:
      return content.text ?? content.caption ?? "";
  }
}

/** As a node. */
export function content(message, files) {
  const { content } = message;
  const make = KINDS[content.kind];
  return make ? make(content, message, files) : unknown(content);
}

const KINDS = {
  text: ({ text }) => written(text),
  choice: ({ text }) => h("div", { class: "card" }, icon("check"), written(text)),
  image: media,
  video: media,
  audio: media,
  document: media,
  sticker: media,
  location,
  contact: ({ contacts }) => h("div", { class: "cards" }, contacts.map(contact)),
  poll,
  order,
  product,
  undecryptable: () => h("div", { class: "card" }, icon("lock"), h("div", null, h("strong", null, t("kind.undecryptable")), h("p", { class: "small muted" }, t("kind.undecryptable.hint")))),
  unknown,
};

function media(content, message, files) {
  return h("div", { class: "media" }, files.view(content, message.mediaUrl), content.caption && written(content.caption));
}

function location({ latitude, longitude, name: called, address, live }) {
  const at = `${Number(latitude).toFixed(5)}, ${Number(longitude).toFixed(5)}`;
  const map = new URL("https://www.openstreetmap.org/");
  map.searchParams.set("mlat", latitude);
  map.searchParams.set("mlon", longitude);
  return h("div", { class: "card" }, icon("place"), h("div", null,
    h("strong", null, called ? name(called) : t(live ? "kind.live" : "kind.location")),
    address && h("p", { class: "small" }, name(address)),
    h("p", { class: "small numbers" }, h("a", { href: map.href, target: "_blank", rel: "noopener noreferrer" }, at))));
}

/** The card's phone numbers and mail; the rest of it nobody here needs. */
function contact({ name: called, vcard }) {
  const lines = String(vcard ?? "").split(/\r?\n/).slice(0, 200);
  const found = (property) => lines.filter((line) => new RegExp(`^(?:[\\w-]+\\.)?${property}[;:]`, "i").test(line)).map((line) => line.slice(line.indexOf(":") + 1));
  const details = [...found("TEL"), ...found("EMAIL")].slice(0, 5);
  return h("div", { class: "card" }, icon("person"), h("div", null,
    h("strong", null, name(called || t("kind.contact"))),
    details.map((detail) => h("p", { class: "small" }, name(detail)))));
}

function poll({ name: asked, options, choose }, message) {
  const { votes } = message;
  const voters = (option) => votes.filter((vote) => vote.options.includes(option));
  const most = Math.max(1, ...options.map((option) => voters(option).length));
  const line = (option) => {
    const who = voters(option);
    const title = who.map((vote) => (vote.fromMe ? t("message.you_short") : vote.from)).join(", ");
    return h("li", { title: title || null }, h("span", { class: "option" }, name(option), h("span", { class: "numbers", "data-votes": who.length }, number(who.length))),
      h("meter", { min: 0, max: most, value: who.length, "aria-label": label(option) }));
  };
  return h("div", { class: "poll" }, h("p", null, icon("poll"), " ", h("strong", null, name(asked))),
    h("p", { class: "small muted" }, choose === 1 ? t("poll.one") : t("poll.many")), h("ul", null, options.map(line)));
}

function order({ title, text, items, total_1000: total, currency }) {
  return h("div", { class: "card" }, icon("cart"), h("div", null,
    h("strong", null, name(title || t("kind.order"))),
    h("p", { class: "small" }, t("order.items", { n: number(items) }), Number.isFinite(total) && ` · ${money(total, currency)}`),
    text && text !== title && written(text)));
}

function product({ title, text, price_1000: price, currency }) {
  return h("div", { class: "card" }, icon("cart"), h("div", null,
    h("strong", null, name(title || t("kind.product"))),
    Number.isFinite(price) && h("p", { class: "small" }, money(price, currency)),
    text && text !== title && written(text)));
}

/** A kind that has no form here: its name, and what text it had. */
function unknown({ name: kind, text }) {
  return h("div", { class: "card" }, icon("alert"), h("div", null, h("strong", null, t("kind.unknown")), kind !== "unknown" && h("p", { class: "small muted" }, name(kind)), text && written(text)));
}
