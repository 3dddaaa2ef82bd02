// Which tenants a list shows, and in which order. Asks nobody and draws nothing.

import { nameOf } from "./names.js";
import { reasonWords } from "./reasons.js";
import { label } from "./text.js";
import { language } from "./words.js";

/** Which tenants a filter shows. */
export const FILTERS = {
  all: () => true,
  ill: needsAttention,
  working: (session) => session.status === "WORKING",
  unpaired: (session) => !session.paired,
  stopped: isStopped,
};

/**
 * Whether somebody should look. A session that was stopped on purpose, or that another process serves, is as it should be; one that connects
 * gets the time until the next heartbeat.
 */
export function needsAttention({ status, paired, rejected, heartbeat }) {
  if (status === "FAILED" || rejected) return true;
  return paired && status === "STARTING" && Boolean(heartbeat) && heartbeat.health !== "healthy";
}

/** Paired, and away because its owner wants it so. */
export function isStopped({ status, paired, rejected, reason }) {
  return status === "STOPPED" && paired && !rejected && reason !== "moved";
}

/** How much a session needs somebody; 0 the most. */
function need(session) {
  if (needsAttention(session)) return session.status === "FAILED" ? 0 : session.rejected ? 1 : 2;
  // Somebody is pairing it now.
  if (["SCAN_QR_CODE", "PASSKEY_REQUIRED", "PASSKEY_CONFIRMATION_REQUIRED"].includes(session.status)) return 3;
  if (session.status === "STARTING") return 4;
  if (!session.paired) return 5;
  return session.status === "STOPPED" ? 6 : 7;
}

const later = (a, b) => (b ?? 0) - (a ?? 0);

const SORTS = {
  need: (a, b) => need(a) - need(b),
  name: () => 0,
  last: (a, b) => later(a.lastMessageAt, b.lastMessageAt),
  changed: (a, b) => later(a.timestamps?.activity, b.timestamps?.activity),
};

export const SORT_NAMES = Object.keys(SORTS);

/** `sessions` in order; what is equal, by name. */
export function sorted(sessions, sort) {
  const names = new Intl.Collator(language(), { numeric: true, sensitivity: "base" });
  const by = SORTS[sort] ?? SORTS.need;
  return [...sessions].sort((a, b) => by(a, b) || names.compare(nameOf(a.name), nameOf(b.name)) || (a.name < b.name ? -1 : 1));
}

/** Whether a session has all words of a search: in its names, its number, or the reason as it is shown. */
export function matches(session, search) {
  const wanted = plain(search).trim();
  if (wanted === "") return true;
  // A number as people write it.
  const digits = /^[+\d\s().-]+$/.test(wanted) ? wanted.replace(/\D/g, "") : "";
  if (digits.length > 2 && numberOf(session).includes(digits)) return true;
  const { text } = reasonWords(session.reason ?? "");
  const said = plain(`${session.name} ${nameOf(session.name)} ${label(session.me?.pushName)} ${numberOf(session)} ${text} ${session.reason ?? ""}`);
  return wanted.split(/\s+/).every((word) => said.includes(word));
}

/** Without capitals and accents: who searches types neither. */
function plain(text) {
  return String(text).normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The digits of a session's phone number. */
export function numberOf(session) {
  return session?.me?.id?.split("@")[0] ?? "";
}
