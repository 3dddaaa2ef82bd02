// What the bot does in each chat, as the daemon said last: it answers there, or it is silent for a reason. No pictures: views read it and hear
// a change.
//
// Nothing is concluded from events: each of them makes the daemon be asked. So the bot's own last words ("a person will write to you"), which
// come as a message of the tenant's, do not take away the mark that it has just set.

import { get, path, post } from "./api.js";
import { gathering } from "./gathering.js";

/** Chats read at a time. */
const MOST = 200;

/** The bot hears of a message a moment after this page does. */
const SECOND_LOOK_MS = 3_000;
/** Another screen may take an open chat over, and no event says so. */
const WATCH_MS = 30_000;
/** So many chats are asked for one by one; more of them by the list. */
const SINGLE = 3;

/** States in which somebody has to look after a chat. */
const NEEDS = new Set(["humanCalled", "loop", "broken"]);

/** States that end by themselves. */
const SILENCES = new Set(["owner", "takenOver", "humanCalled", "loop"]);

/** The bot talks with persons alone. */
export function isPerson(chat) {
  return /@(s\.whatsapp\.net|lid)$/.test(chat);
}

/** The daemon calls a person as WAHA does, `…@c.us`; conversations have WhatsApp's own ids. */
function chatOf(id) {
  return id.replace(/@c\.us$/, "@s.whatsapp.net");
}

export class BotChats {
  #tenant;
  #states = new Map();
  #listeners = new Set();
  /** Chats to be asked for, and for what they call: `{ customer, reason }`, or null. */
  #due = gathering((all) => this.#look(all));
  #expiry = 0;
  #later = new Set();
  #watched = new Set();
  /** Each question has a number: what an older one brings does not replace what a newer one has brought. */
  #questions = 0;
  #reading = null;
  #again = false;
  #closed = false;

  /** Hears of chats that want a human now, each `{ chat, customer, reason }`. */
  oncalled = () => {};

  constructor(tenant) {
    this.#tenant = tenant;
  }

  /** `listener()`: something changed. */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** `{ state, until, broken }` of a chat, `until` in milliseconds or null; null: nobody knows. */
  of(chat) {
    const known = this.#states.get(chat);
    if (known?.until && known.until <= Date.now() && SILENCES.has(known.state)) return { state: "answers", until: null, broken: null };
    return known ?? null;
  }

  /** The state of a chat that somebody has to look after, or null. */
  need(chat) {
    const state = this.of(chat)?.state;
    return NEEDS.has(state) ? state : null;
  }

  /** Reads all chats that the bot knows, up to a page of them; once more when that is asked for meanwhile. */
  reload() {
    this.#again = this.#reading !== null;
    this.#reading ??= this.#readAll().finally(() => { this.#reading = null; });
    return this.#reading;
  }

  async #readAll() {
    do {
      this.#again = false;
      const question = (this.#questions += 1);
      try {
        const { conversations } = await get(`${path`api/${this.#tenant}/bot/conversations`}?limit=${MOST}`);
        const isWhole = conversations.length < MOST;
        const found = new Map(conversations.map((one) => [chatOf(one.chatId), one]));
        // What the bot knows no more goes; what is looked at is asked for by itself.
        if (isWhole) for (const [chat, { asked }] of this.#states) if (asked < question && !found.has(chat) && !this.#watched.has(chat)) this.#states.delete(chat);
        for (const [chat, one] of found) this.#put(chat, one, question);
      } catch {
        // Not there at this moment; the line's next beginning asks again.
      }
      this.#tell();
    } while (this.#again && !this.#closed);
  }

  /** Asks for a chat that is looked at, now and then; gives what ends that. */
  watch(chat) {
    if (!isPerson(chat)) return () => {};
    const look = () => document.hidden || this.#ask(chat);
    const timer = setInterval(look, WATCH_MS);
    this.#watched.add(chat);
    document.addEventListener("visibilitychange", look);
    this.#ask(chat);
    return () => {
      clearInterval(timer);
      this.#watched.delete(chat);
      document.removeEventListener("visibilitychange", look);
    };
  }

  /** The bot is silent there from now on. */
  take(chat) {
    return this.#change(chat, "take");
  }

  /** The bot answers there again. */
  giveBack(chat) {
    return this.#change(chat, "give-back");
  }

  /** An event of the line. */
  happened(event, payload) {
    if (event === "owner:called") {
      const { chatId, customer, reason } = payload.owner;
      return this.#due.add([chatOf(chatId), { customer, reason }]);
    }
    const chat = event === "message:sent" ? payload.message.chatId : null;
    // Somebody has answered, or the bot: of other chats it is known when they are opened.
    if (!chat || !(this.#watched.has(chat) || this.need(chat))) return;
    this.#due.add([chat, null]);
    const timer = setTimeout(() => {
      this.#later.delete(timer);
      this.#due.add([chat, null]);
    }, SECOND_LOOK_MS);
    this.#later.add(timer);
  }

  close() {
    this.#closed = true;
    this.#listeners.clear();
    this.#due.close();
    clearTimeout(this.#expiry);
    for (const timer of this.#later) clearTimeout(timer);
  }

  async #look(due) {
    const chats = new Set(due.map(([chat]) => chat));
    if (chats.size > SINGLE) await this.reload();
    else await Promise.all([...chats].map((chat) => this.#ask(chat)));
    // What was told after a lost line may be over by now.
    const called = new Map(due.filter(([chat, call]) => call && this.need(chat)));
    const calls = [...called].map(([chat, call]) => ({ chat, ...call }));
    if (calls.length > 0 && !this.#closed) this.oncalled(calls);
  }

  async #change(chat, step) {
    await post(path`api/${this.#tenant}/bot/conversations/${chat}/${step}`);
    await this.#ask(chat);
  }

  async #ask(chat) {
    const question = (this.#questions += 1);
    try {
      this.#put(chat, await get(path`api/${this.#tenant}/bot/conversations/${chat}`), question);
    } catch {
      // Known before, or not at all: whoever looks at it asks again.
      return;
    }
    this.#tell();
  }

  #put(chat, { state, silentUntil, broken }, asked) {
    if ((this.#states.get(chat)?.asked ?? 0) > asked) return;
    this.#states.set(chat, { state, until: silentUntil ? Date.parse(silentUntil) : null, broken: broken ?? null, asked });
  }

  #tell() {
    if (this.#closed) return;
    clearTimeout(this.#expiry);
    const ends = [...this.#states.values()].map(({ until }) => until).filter((until) => until > Date.now());
    // The bot comes back by itself, and nothing else says so.
    if (ends.length > 0) this.#expiry = setTimeout(() => this.#tell(), Math.min(...ends) - Date.now() + 1);
    for (const listener of this.#listeners) listener();
  }
}
