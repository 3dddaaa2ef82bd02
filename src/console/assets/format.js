// Times and numbers as the reader's language writes them.

import { h } from "./dom.js";
import { language, t } from "./words.js";

const made = new Map();

/** Formatters are costly to make. */
function cached(kind, options, make) {
  const name = `${language()} ${kind} ${JSON.stringify(options)}`;
  if (!made.has(name)) made.set(name, make(language(), options));
  return made.get(name);
}

function date(options) {
  return cached("date", options, (locale) => new Intl.DateTimeFormat(locale, options));
}

export function number(n) {
  return cached("number", {}, (locale) => new Intl.NumberFormat(locale)).format(n);
}

/** Bytes in the largest unit that fits. */
export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(1000))));
  const options = { style: "unit", unit: units[step], unitDisplay: "short", maximumFractionDigits: step > 1 ? 1 : 0 };
  return cached("size", options, (locale) => new Intl.NumberFormat(locale, options)).format(bytes / 1000 ** step);
}

export function money(thousandths, currency) {
  try {
    const options = { style: "currency", currency };
    return cached("money", options, (locale) => new Intl.NumberFormat(locale, options)).format(thousandths / 1000);
  } catch {
    // No such currency.
    return `${number(thousandths / 1000)} ${currency ?? ""}`;
  }
}

export function duration(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

export function clockTime(at) {
  return date({ timeStyle: "short" }).format(at);
}

export function day(at) {
  const days = Math.round((midnight(new Date()) - midnight(at)) / 86_400_000);
  if (days >= 0 && days < 2) {
    const relative = cached("day", {}, (locale) => new Intl.RelativeTimeFormat(locale, { numeric: "auto" })).format(-days, "day");
    return relative.charAt(0).toLocaleUpperCase(language()) + relative.slice(1);
  }
  return date({ weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(at);
}

function midnight(at) {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
}

/** For a list: the time of today, else the date. */
function brief(at) {
  return midnight(at) === midnight(new Date()) ? clockTime(at) : date({ day: "numeric", month: "short" }).format(at);
}

function ago(at) {
  const seconds = Math.max(0, (Date.now() - at) / 1000);
  const steps = [[60, 1, "second"], [3600, 60, "minute"], [86_400, 3600, "hour"], [Infinity, 86_400, "day"]];
  const [, length, unit] = steps.find(([limit]) => seconds < limit);
  if (seconds < 10) return t("time.now");
  return cached("ago", {}, (locale) => new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" })).format(-Math.floor(seconds / length), unit);
}

function moment(at, words) {
  const full = date({ dateStyle: "long", timeStyle: "medium" }).format(at);
  return h("time", { datetime: at.toISOString(), title: full }, words);
}

function valid(value) {
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? null : at;
}

/** "3 min ago"; `value` is milliseconds or a text. */
export function since(value) {
  const at = value === null || value === undefined ? null : valid(value);
  return at ? moment(at, ago(at)) : h("span", { class: "muted" }, "—");
}

export function when(value) {
  const at = valid(value);
  return at ? moment(at, date({ dateStyle: "medium", timeStyle: "short" }).format(at)) : h("span", { class: "muted" }, "—");
}

export function listTime(value) {
  const at = valid(value);
  return at ? moment(at, brief(at)) : null;
}

export function messageTime(value) {
  const at = valid(value);
  return at ? moment(at, clockTime(at)) : null;
}

/** Digits as a phone number. */
export function phone(digits) {
  const plain = String(digits ?? "").replace(/\D/g, "");
  return plain ? `+${plain}` : "";
}

/** A person's phone number with a plus; of somebody known by a LID alone, of a group or another kind of chat, the jid. */
export function address(jid) {
  const [user, server] = String(jid ?? "").split("@");
  return server === "s.whatsapp.net" || server === "c.us" ? phone(user.split(":")[0]) : String(jid ?? "");
}
