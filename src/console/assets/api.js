// Speaks to the daemon's HTTP API with the operator's key. The key is in this tab's sessionStorage, goes in a header and never in a URL;
// and never to another origin, since every address is built from ours.

const STORED = "sessiond.key";

/** Where the daemon is: above this page. */
const BASE = new URL("../", document.baseURI);

/** Longer than the server thinks about anything that is asked here, but for files. */
const PATIENCE = 60_000;

let key = sessionStorage.getItem(STORED);
let signedOut = () => {};

/** An answer that says no, or none at all (`status` 0). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || body?.error || `HTTP ${status}`);
    this.status = status;
    /** What is the matter this time. */
    this.detail = body?.detail ?? null;
    this.code = status === 0 ? "unreachable" : body?.code ?? `http_${status}`;
    /** By field: what was wrong with the input. */
    this.errors = Array.isArray(body?.errors) ? body.errors : [];
    /** Seconds after which to ask again, where the server says so. */
    this.retryAfter = null;
  }
}

export function isSignedIn() {
  return key !== null;
}

/** For the socket's handshake. */
export function credential() {
  return key;
}

/** `listener` hears that the key is gone; `rejected` when the server no longer takes it. */
export function onSignOut(listener) {
  signedOut = listener;
}

/** Whether this is the operator's key; keeps it if so. A {@link Problem} if not. */
export async function signIn(candidate) {
  // A header cannot carry anything else, and no key has it.
  if (!/^[\x21-\x7e]+$/.test(candidate)) throw new Problem(401, { code: "unauthorized" });
  // A route that is the operator's alone and costs nothing.
  await request("GET", "api/server/environment", { as: candidate });
  key = candidate;
  sessionStorage.setItem(STORED, candidate);
}

export function signOut(rejected = false) {
  if (key === null) return;
  key = null;
  sessionStorage.removeItem(STORED);
  signedOut(rejected);
}

export const get = (path, options) => request("GET", path, options);
export const post = (path, body, options) => request("POST", path, { body: body ?? {}, ...options });
/** A form with files in it. */
export const upload = (path, form) => request("POST", path, { body: form, patience: 1_200_000 });
export const put = (path, body, options) => request("PUT", path, { body, ...options });
/** A document and its version: `{ value, tag }`. */
export const getTagged = (path, options) => request("GET", path, { ...options, tagged: true });
/** Replaces what had this `tag`, and nothing newer: else a `wrong_version`. */
export const putTagged = (path, body, tag) => request("PUT", path, { body, tagged: true, headers: tag ? { "If-Match": tag } : {} });
export const remove = (path, options) => request("DELETE", path, options);

/** Of `parts` of a path that are not ours to trust. */
export function path(strings, ...parts) {
  return String.raw({ raw: strings }, ...parts.map((part) => encodeURIComponent(part)));
}

/** A file as bytes. What the server calls its address may be whole or a path; only its path counts, and it is fetched from here. */
export async function file(address) {
  const url = new URL(address, BASE);
  const at = url.pathname.indexOf("/api/files/");
  if (at < 0) throw new Problem(404, { title: "no such file" });
  return request("GET", url.pathname.slice(at + 1) + url.search, { raw: true, patience: 600_000 });
}

/** Where Socket.IO listens. */
export function socketAddress() {
  const url = new URL("socket.io/?EIO=4&transport=websocket", BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

async function request(method, address, { body, headers = {}, as = key, raw = false, tagged = false, patience = PATIENCE, signal } = {}) {
  const signals = [AbortSignal.timeout(patience), ...(signal ? [signal] : [])];
  const options = { method, headers: { "X-Api-Key": as ?? "", ...headers }, cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.any(signals) };
  if (body instanceof FormData) {
    options.body = body;
  } else if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(new URL(address, BASE), options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { title: error.message });
  }
  if (answer.ok) {
    if (raw) return answer.blob();
    // An answer that breaks off must not look whole.
    const text = await answer.text().catch((error) => { throw new Problem(0, { title: error.message }); });
    const value = text ? JSON.parse(text) : null;
    return tagged ? { value, tag: answer.headers.get("etag") } : value;
  }
  const problem = new Problem(answer.status, await answer.json().catch(() => null));
  problem.retryAfter = Number(answer.headers.get("retry-after")) || null;
  // Revoked, or changed at a restart: whoever sits here has to sign in again.
  if (problem.status === 401 && as === key) signOut(true);
  throw problem;
}
