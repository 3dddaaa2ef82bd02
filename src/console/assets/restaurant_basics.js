// Who the restaurant is, how it sells, and how the bot behaves in a conversation.

import { area, box, choice, count, line, panel } from "./restaurant_fields.js";
import { h } from "./dom.js";
import { t } from "./words.js";

const w = (key) => t(`restaurant.${key}`);

export function whoPart(settings, { onlanguage }) {
  const name = line({ label: w("name"), names: ["name"], value: settings.name, maxlength: 80 });
  const address = line({ label: w("address"), hint: w("address.hint"), names: ["address"], value: settings.address, maxlength: 200 });
  const language = choice({ label: w("language"), names: ["language"], value: settings.language, options: [["es", "Español"], ["en", "English"]], onchange: onlanguage });
  return {
    node: panel(w("who"), name.node, address.node, language.node),
    fields: [name, address, language],
    name: () => name.read(),
    language: () => language.read(),
    read: () => ({ name: name.read(), address: address.read(), language: language.read() }),
  };
}

export function sellingPart(settings, { onorders }) {
  const takes = box({ label: w("takes_orders"), hint: w("takes_orders.hint"), names: ["takesOrders"], value: settings.takesOrders, onchange: onorders });
  const quick = box({ label: w("quick"), hint: w("quick.hint"), names: ["quickOrderMode"], value: settings.quickOrderMode });
  const delivers = box({ label: w("delivers"), names: ["delivers"], value: settings.delivers });
  const pickUp = box({ label: w("pick_up"), names: ["pickUp"], value: settings.pickUp });
  const phone = box({ label: w("ask_phone"), names: ["askContactPhone"], value: settings.askContactPhone });
  return {
    node: panel(w("selling"), takes.node, quick.node, delivers.node, pickUp.node, phone.node),
    fields: [takes, quick, delivers, pickUp, phone],
    read: () => ({ takesOrders: takes.read(), quickOrderMode: quick.read(), delivers: delivers.read(), pickUp: pickUp.read(), askContactPhone: phone.read() }),
  };
}

/** What the bot says while it does not serve. */
export function awayPart(settings) {
  const options = [["text", w("away.text")], ["silent", w("away.silent")]];
  const of = (name) => choice({ label: w(name), names: [name], value: settings[name], options });
  const [closed, off, suspended] = ["whenClosed", "whenOff", "whenSuspended"].map(of);
  return {
    node: panel(w("away"), h("p", { class: "muted" }, w("away.hint")), closed.node, off.node, suspended.node),
    fields: [closed, off, suspended],
    read: () => ({ whenClosed: closed.read(), whenOff: off.read(), whenSuspended: suspended.read() }),
  };
}

export function mannersPart(settings) {
  const takeover = count({ label: w("takeover"), hint: w("takeover.hint"), names: ["takeoverMinutes"], value: settings.takeoverMinutes, min: 1, max: 10_080 });
  const word = line({ label: w("back_word"), hint: w("back_word.hint"), names: ["backWord"], value: settings.backWord, maxlength: 40, autocapitalize: "none" });
  const idle = count({ label: w("idle"), hint: w("idle.hint"), names: ["idleMinutes"], value: settings.idleMinutes, min: 1, max: 1440 });
  const tracking = line({ label: w("tracking"), hint: w("tracking.hint"), names: ["trackingUrl"], value: settings.trackingUrl, type: "url", maxlength: 500, autocapitalize: "none", placeholder: "https://example.com/{token}" });
  const muted = area({ label: w("muted"), hint: w("muted.hint"), names: ["muted"], value: settings.muted.join("\n"), inputmode: "text" });
  // A number is often written with blanks and dashes in it.
  const person = (text) => (text.includes("@") ? text.trim() : text.replace(/[\s().-]/g, ""));
  return {
    node: panel(w("manners"), h("div", { class: "pair" }, takeover.node, word.node, idle.node), muted.node, tracking.node),
    fields: [takeover, word, idle, muted, tracking],
    read: () => ({
      takeoverMinutes: takeover.read(), backWord: word.read(), idleMinutes: idle.read(), trackingUrl: tracking.read(),
      muted: muted.read().split(/[\n,;]/).map(person).filter(Boolean),
    }),
  };
}

export function modelPart(settings) {
  const model = box({ label: w("model"), names: ["languageModel"], value: settings.languageModel });
  return {
    node: panel(w("model.title"), model.node, h("p", { class: "note wait" }, w("model.warning"))),
    fields: [model],
    read: () => ({ languageModel: model.read() }),
  };
}

/** Most restaurants never touch these. */
export function advancedPart(settings) {
  const humanize = box({ label: w("humanize"), hint: w("humanize.hint"), names: ["humanize"], value: settings.humanize });
  const gather = count({ label: w("gather"), hint: w("gather.hint"), names: ["gatherMs"], value: settings.gatherMs, max: 30_000 });
  const guard = count({ label: w("guard"), hint: w("guard.hint"), names: ["loopGuard"], value: settings.loopGuard, min: 2, max: 100 });
  const units = count({ label: w("units"), hint: w("units.hint"), names: ["mostUnits"], value: settings.mostUnits, min: 1, max: 500 });
  const paces = box({ label: w("pacing"), hint: w("pacing.hint"), names: ["pacing.enabled", "pacing"], value: settings.pacing.enabled });
  const most = { perMinute: 10_000, perHour: 100_000, perDay: 1_000_000, newContactsPerDay: 100_000, sameTextPerHour: 100_000, perRecipientPerHour: 100_000, warmUpDays: 365 };
  const limits = Object.entries(most).map(([name, max]) => [name, count({ label: w(`pacing.${name}`), names: [`pacing.${name}`], value: settings.pacing[name], min: name === "warmUpDays" ? 0 : 1, max })]);
  return {
    node: h("details", { class: "panel advanced" }, h("summary", null, w("advanced")),
      h("div", { class: "body" }, h("p", { class: "muted" }, w("advanced.hint")), humanize.node, h("div", { class: "pair" }, gather.node, guard.node, units.node),
        paces.node, h("div", { class: "pair" }, limits.map(([, one]) => one.node)))),
    fields: [humanize, gather, guard, units, paces, ...limits.map(([, one]) => one)],
    read: () => ({
      humanize: humanize.read(), gatherMs: gather.read(), loopGuard: guard.read(), mostUnits: units.read(),
      pacing: { ...settings.pacing, enabled: paces.read(), ...Object.fromEntries(limits.map(([name, one]) => [name, one.read()])) },
    }),
  };
}
