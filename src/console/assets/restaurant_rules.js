// Answers of a tenant that takes no orders: rules in their order, and a bot of its own. The bot's key is write-only: the server shows a mask,
// and the mask that goes back keeps the key, as long as the server stays.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { area, box, choice, count, flawed, line, panel } from "./restaurant_fields.js";
import { t } from "./words.js";

const KINDS = ["keywords", "regex", "firstContact", "away", "anything"];
const w = (key, values) => t(`restaurant.${key}`, values);

const kindOf = (when) => (typeof when === "string" ? when : Object.keys(when ?? {})[0] ?? "keywords");

export function rulesPart(settings) {
  const rules = [];
  const place = h("div", { class: "rules" });
  const more = h("button", { type: "button", class: "button small", onclick: () => { add(null).kind.input.focus(); number(); } }, icon("plus"), w("rules.add"));
  const all = flawed(["rules"], more, [h("p", { class: "hint" }, w("rules.hint")), place, h("div", null, more)]);

  function add(given) {
    const kind = choice({ label: w("rules.when"), value: kindOf(given?.when), options: KINDS.map((one) => [one, w(`rules.${one}`)]), onchange: () => dress() });
    const words = line({ label: w("rules.words"), hint: w("rules.words.hint"), value: given?.when?.keywords?.join(", ") ?? "", autocapitalize: "none" });
    const regex = line({ label: w("rules.pattern"), hint: w("rules.pattern.hint"), value: given?.when?.regex ?? "", maxlength: 300, autocapitalize: "none" });
    const reply = area({ label: w("rules.reply"), hint: w("rules.reply.hint"), value: given?.reply ?? "", maxlength: 2000 });
    const pause = count({ label: w("rules.pause"), hint: w("rules.pause.hint"), value: given?.pauseMinutes ?? 0, max: 10_080 });
    const human = box({ label: w("rules.human"), value: given?.human });
    const title = h("legend");
    const dress = () => {
      words.node.hidden = kind.read() !== "keywords";
      regex.node.hidden = kind.read() !== "regex";
    };
    const move = (by) => () => {
      const at = rules.indexOf(rule);
      const to = at + by;
      if (to < 0 || to >= rules.length) return;
      rules.splice(to, 0, ...rules.splice(at, 1));
      place.replaceChildren(...rules.map(({ node }) => node));
      number();
      rule.ups[by < 0 ? 0 : 1].focus();
    };
    const button = (name, sign, onclick, props) => h("button", { type: "button", class: "button small quiet icon-only", "aria-label": w(name), title: w(name), onclick, ...props }, icon(sign));
    const away = () => {
      rules.splice(rules.indexOf(rule), 1);
      rule.node.remove();
      number();
      more.focus();
    };
    const ups = [button("rules.up", "down", move(-1), { class: "button small quiet icon-only upward" }), button("rules.down", "down", move(1))];
    const when = () => {
      switch (kind.read()) {
        case "keywords": return { keywords: words.read().split(/[,\n]/).map((word) => word.trim()).filter(Boolean) };
        case "regex": return { regex: regex.read() };
        default: return kind.read();
      }
    };
    const needs = (one, is) => ({ ...one, get names() { return one.names; }, flaw: () => one.flaw() ?? (is() && one.read().trim() === "" ? "is required" : null) });
    const rule = {
      kind, ups, title, parts: { words, regex, reply, pause },
      fields: [kind, needs(words, () => kind.read() === "keywords"), needs(regex, () => kind.read() === "regex"), needs(reply, () => true), pause, human],
      node: h("fieldset", { class: "rule" }, title, h("div", { class: "row end" }, ups, button("rules.drop", "trash", away)), kind.node, words.node, regex.node, reply.node, human.node, pause.node),
      read: () => ({ ...given, when: when(), reply: reply.read(), human: human.read(), pauseMinutes: pause.read() }),
    };
    dress();
    rules.push(rule);
    place.append(rule.node);
    return rule;
  }

  /** The server names a mistake by the rule's number. */
  function number() {
    rules.forEach(({ title, kind, parts }, n) => {
      title.textContent = w("rules.n", { n: n + 1 });
      kind.names = [`rules[${n}].when`, `rules[${n}]`];
      parts.words.names = [`rules[${n}].when.keywords`];
      parts.regex.names = [`rules[${n}].when.regex`];
      parts.reply.names = [`rules[${n}].reply`];
      parts.pause.names = [`rules[${n}].pauseMinutes`];
    });
  }

  for (const rule of settings.rules) add(rule);
  number();
  const bot = externalPart(settings);
  const node = h("div", { class: "parts" }, panel(w("rules"), all.node), bot.node);
  return {
    node,
    get fields() { return [all, ...rules.flatMap(({ fields }) => fields), ...bot.fields]; },
    saved: bot.saved,
    read: () => ({ rules: rules.map((rule) => rule.read()), ...bot.read() }),
  };
}

function externalPart(settings) {
  let given = settings.externalBot;
  const uses = box({ label: w("external.uses"), hint: w("external.hint"), names: ["externalBot"], value: Boolean(given), onchange: () => dress() });
  const url = line({ label: w("external.url"), names: ["externalBot.url"], value: given?.url ?? "", type: "url", maxlength: 2000, autocapitalize: "none", placeholder: "https://bot.example.com/" });
  const key = line({ label: w("external.key"), hint: w("external.key.hint"), names: ["externalBot.key"], type: "password", autocomplete: "new-password", maxlength: 200 });
  const time = count({ label: w("external.time"), names: ["externalBot.timeoutSeconds"], value: given?.timeoutSeconds ?? 10, min: 1, max: 30 });
  const fallback = area({ label: w("external.fallback"), hint: w("external.fallback.hint"), names: ["externalBot.fallback"], value: given?.fallback ?? "", maxlength: 2000 });
  const rest = h("div", { class: "parts" }, url.node, key.node, time.node, fallback.node);
  const dress = () => {
    rest.hidden = !uses.read();
    key.input.placeholder = given?.key ? t("hooks.secret.kept") : "";
  };
  dress();
  const address = { ...url, flaw: () => (url.read() === "" ? "is required" : null) };
  return {
    node: panel(w("external"), uses.node, rest),
    get fields() { return uses.read() ? [uses, address, key, time, fallback] : [uses]; },
    saved(settings) {
      given = settings.externalBot;
      key.input.value = "";
      dress();
    },
    read: () => ({ externalBot: uses.read() ? { ...given, url: url.read(), key: key.input.value || (given?.key ?? ""), timeoutSeconds: time.read(), fallback: fallback.read() } : null }),
  };
}
