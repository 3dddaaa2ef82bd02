// A tenant's conversations as far as they were looked at, and how events change them. No pictures: views read it and hear `change`.
//
// What was read and what happened meanwhile may overlap: every event may be applied twice, and an older one after a newer state was read, without
// harm. Messages are told apart by who wrote them and their id.

import { get, path, post } from "./api.js";
import { toast, words } from "./dialog.js";
import { nameOf } from "./names.js";
import { label } from "./text.js";
import { t } from "./words.js";

/** Messages and chats read at a time. */
const PAGE = 50;
const CHATS = 200;

/** Milliseconds after which a question for groups' subjects that was not answered is asked again, at first and at the most. */
const SUBJECTS_PAUSE = 2_000;
const LONGEST_SUBJECTS_PAUSE = 60_000;

/** How far a message has come; a state only grows, but for a failure. */
const RANKS = { sending: 0, unsent: 0, accepted: 1, sent: 2, delivered: 3, read: 4, played: 5 };

export class Talk {
  #tenant;
  #listeners = new Set();
  /** What groups are called, by their id. */
  #subjects = new Map();
  /** They are being asked for; "again": and one has come that the answer may not have. */
  #askingSubjects = false;
  #subjectsPause = SUBJECTS_PAUSE;
  #subjectsTimer = 0;
  /** Events that came while something was read. */
  #held = null;
  #reading = 0;
  #again = false;
  #closed = false;

  /** The newest first; null before they were read. */
  chats = null;
  /** Whether there are more chats than were read. */
  moreChats = false;
  /** By chat. */
  threads = new Map();
  /** Where one was among the conversations, for who comes back from another part. */
  address = null;
  scrolled = 0;
  /** What went wrong when the chats were read. */
  failure = null;
  /**
   * Hears the ids of events that a whole reading has brought: the chats, and after them every thread that is open. One page of one thread is no
   * such reading: of the other chats nobody has told yet what came before it.
   */
  onseen = () => {};

  constructor(tenant) {
    this.#tenant = tenant;
  }

  /** `listener(what, chat)`: "chats" or "thread" changed, or a message "arrived". */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#subjectsTimer);
    this.#listeners.clear();
  }

  /** Reads the chats and every thread that is open, anew. */
  async reload() {
    if (this.#reading > 0) {
      this.#again = true;
      return;
    }
    await this.#read(async () => {
      await this.#readChats();
      for (const chat of this.threads.keys()) await this.#readThread(chat);
    });
  }

  /** The thread of a chat; read when it is opened for the first time. */
  open(chat) {
    let thread = this.threads.get(chat);
    if (!thread) {
      thread = { chat, messages: [], more: false, loading: true, failure: null, failed: null };
      this.threads.set(chat, thread);
      this.#read(() => this.#readThread(chat));
    }
    return thread;
  }

  /** Reads again what could not be read: the newest page, or the one before what is there. */
  retry(chat) {
    if (this.threads.get(chat)?.failed === "older") return this.older(chat);
    return this.#read(() => this.#readThread(chat));
  }

  /** Reads the page before what is there. */
  async older(chat) {
    const thread = this.threads.get(chat);
    const oldest = thread?.messages.find((message) => message.cursor);
    if (!thread || thread.loading || !thread.more || !oldest) return;
    thread.loading = true;
    this.#tell("thread", chat);
    await this.#read(async () => {
      try {
        const { messages } = await this.#page(chat, oldest.cursor);
        // The thread was read anew meanwhile: this page is not the one before what is there now.
        if (thread.messages.find((message) => message.cursor) !== oldest) return;
        const known = new Set(thread.messages.map(identity));
        thread.messages.unshift(...messages.reverse().filter((message) => !known.has(identity(message))));
        thread.more = messages.length === PAGE;
        if (thread.failed === "older") thread.failed = thread.failure = null;
      } catch (problem) {
        // That the newest page is missing is worse.
        if (thread.failed !== "newest") [thread.failed, thread.failure] = ["older", words(problem)];
      } finally {
        thread.loading = false;
        this.#tell("thread", chat);
      }
    });
  }

  /** An event of the line. */
  happened(event, payload) {
    if (this.#held) this.#held.push([event, payload]);
    else this.#apply(event, payload);
  }

  /** Sends a text. Named here, once: however often it is repeated, it is one message. */
  send(chat, text, quoted) {
    const random = crypto.getRandomValues(new Uint8Array(9));
    const id = `3EB0${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("").toUpperCase()}`;
    const message = {
      id, chatId: chat, fromMe: true, from: "", text, timestamp: new Date().toISOString(), content: { kind: "text", text }, status: "sending",
      quotedMessage: quoted ? { id: quoted.id, text: quoted.text } : null, quotedAuthor: quoted ? { fromMe: quoted.fromMe, from: quoted.from } : null,
      reactions: [], votes: [], rev: 0,
    };
    this.#insert(message);
    this.#post(message);
  }

  /** Sends again what did not go out. */
  resend(message) {
    message.status = "sending";
    message.error = null;
    this.#touch(message);
    this.#post(message);
  }

  /** Gives up what did not go out. */
  discard(message) {
    const thread = this.threads.get(message.chatId);
    if (!thread) return;
    thread.messages = thread.messages.filter((one) => one !== message);
    const chat = this.chat(message.chatId);
    const before = thread.messages.at(-1);
    if (chat?.last === message && before) chat.last = before;
    this.#tell("thread", message.chatId);
    this.#tell("chats");
  }

  seen(chat) {
    const found = this.chats?.find((one) => one.id === chat);
    if (found?.unseen) {
      found.unseen = 0;
      this.#tell("chats");
    }
  }

  chat(id) {
    return this.chats?.find((chat) => chat.id === id) ?? null;
  }

  async #post(message) {
    const body = { session: this.#tenant, chatId: message.chatId, text: message.text, id: message.id };
    if (message.quotedMessage) body.reply_to = message.quotedMessage.id;
    try {
      await post("api/sendText", body, { headers: { "Idempotency-Key": message.id } });
      grow(message, "accepted");
    } catch (problem) {
      // It may have gone out all the same, and been told of by the line.
      if (message.status === "sending") {
        message.status = "unsent";
        message.error = words(problem);
        // Nobody sees it there any more.
        if (this.#closed) toast(t("thread.lost", { tenant: nameOf(this.#tenant), text: label(message.text).slice(0, 60), reason: message.error }));
      }
    }
    this.#touch(message);
  }

  /** While something is read, events wait: what is read may be older than they. */
  async #read(work) {
    this.#reading += 1;
    this.#held ??= [];
    try {
      await work();
    } finally {
      this.#reading -= 1;
      if (this.#reading === 0) {
        const held = this.#held;
        this.#held = null;
        if (!this.#closed) for (const [event, payload] of held) this.#apply(event, payload);
        if (this.#again && !this.#closed) {
          this.#again = false;
          this.reload();
        }
      }
    }
  }

  async #readChats() {
    try {
      const query = new URLSearchParams({ tenantId: this.#tenant, limit: CHATS });
      const { conversations } = await get(`api/baileys/conversations?${query}`);
      const unseen = new Map(this.chats?.map((chat) => [chat.id, chat.unseen]));
      this.chats = conversations.map((chat) => ({ id: chat.id, name: chat.name, phone: chat.phone, subject: this.#subjectOf(chat), last: complete(chat.lastMessage), unseen: unseen.get(chat.id) ?? 0 }));
      this.moreChats = conversations.length === CHATS;
      this.failure = null;
      for (const chat of this.chats) this.onseen(chat.last.cursor);
    } catch (problem) {
      this.failure = words(problem);
    }
    this.#tell("chats");
    this.#askSubjects();
  }

  /** A group's name is its subject, as far as the server has learnt it. */
  #subjectOf({ id, name }) {
    if (name && id.endsWith("@g.us")) this.#subjects.set(id, name);
    return this.#subjects.get(id) ?? null;
  }

  /** A group is called otherwise, or the tenant has come into it. */
  renamed({ id, subject }) {
    if (!id || !subject) return;
    this.#subjects.set(id, subject);
    const chat = this.chat(id);
    if (!chat) return;
    chat.subject = subject;
    this.#tell("chats");
  }

  /** WhatsApp knows what groups are called. Without its answer they have a part of their id, and it is asked again. */
  async #askSubjects() {
    const isNameless = ({ id }) => id.endsWith("@g.us") && !this.#subjects.has(id);
    if (this.#closed || !this.chats?.some(isNameless)) return;
    if (this.#askingSubjects) {
      this.#askingSubjects = "again";
      return;
    }
    clearTimeout(this.#subjectsTimer);
    this.#askingSubjects = true;
    let isAnswered = true;
    try {
      const groups = await get(`${path`api/${this.#tenant}/groups`}?exclude=participants`);
      // One that is not among them is not the tenant's any more, unless it has come meanwhile.
      if (this.#askingSubjects !== "again") for (const { id } of this.chats?.filter(isNameless) ?? []) this.#subjects.set(id, null);
      for (const { id, subject } of groups) this.#subjects.set(id, subject);
      this.#subjectsPause = SUBJECTS_PAUSE;
    } catch {
      // Not connected, perhaps.
      isAnswered = false;
    }
    const again = this.#askingSubjects === "again" && isAnswered;
    this.#askingSubjects = false;
    for (const chat of this.chats ?? []) chat.subject = this.#subjects.get(chat.id) ?? null;
    this.#tell("chats");
    if (again) return this.#askSubjects();
    if (!isAnswered && !this.#closed) {
      this.#subjectsTimer = setTimeout(() => this.#askSubjects(), this.#subjectsPause);
      this.#subjectsPause = Math.min(2 * this.#subjectsPause, LONGEST_SUBJECTS_PAUSE);
    }
  }

  async #readThread(chat) {
    const thread = this.threads.get(chat);
    if (!thread) return;
    thread.loading = true;
    this.#tell("thread", chat);
    try {
      const { messages } = await this.#page(chat);
      const read = messages.reverse();
      const known = new Set(read.map(identity));
      // Of what was there before: only what is not at the server.
      const pending = thread.messages.filter((message) => (message.status === "sending" || message.status === "unsent") && !known.has(identity(message)));
      thread.messages = [...read, ...pending];
      thread.more = read.length === PAGE;
      thread.failed = thread.failure = null;
    } catch (problem) {
      [thread.failed, thread.failure] = ["newest", words(problem)];
    }
    thread.loading = false;
    this.#tell("thread", chat);
  }

  async #page(chat, before) {
    const query = new URLSearchParams({ tenantId: this.#tenant, chatId: chat, limit: PAGE });
    if (before) query.set("before", before);
    const { messages } = await get(`api/baileys/messages?${query}`);
    return { messages: messages.map(complete) };
  }

  #apply(event, payload) {
    if (event === "message:status") return this.#status(payload);
    const message = payload.message;
    switch (message.content.kind) {
      case "reaction":
        return this.#change(message.chatId, (one) => one.id === message.content.target.id, (one) => react(one, message));
      case "vote":
        return this.#change(message.chatId, (one) => one.id === message.content.poll.id, (one) => vote(one, message));
      case "edit":
        return this.#change(message.chatId, (one) => one.id === message.content.target.id && sameAuthor(one, message), (one) => edit(one, message.content.content));
      case "revoke":
        return this.#change(message.chatId, (one) => one.id === message.content.target.id && sameAuthor(one, message), (one) => { one.revoked = true; });
      default:
        return this.#insert(complete({ ...message, cursor: payload.eventId }));
    }
  }

  #status({ chat, messageId, status }) {
    this.#change(chat, (one) => one.fromMe && one.id === messageId, (one) => grow(one, status));
  }

  /** Changes a message wherever it is shown. */
  #change(chat, which, how) {
    const thread = this.threads.get(chat);
    const shown = [thread?.messages.find(which), this.chat(chat)?.last].filter((message, place, all) => message && which(message) && all.indexOf(message) === place);
    for (const message of shown) {
      how(message);
      message.rev += 1;
    }
    if (shown.length > 0) {
      this.#tell("thread", chat);
      this.#tell("chats");
    }
  }

  #touch(message) {
    message.rev += 1;
    this.#tell("thread", message.chatId);
    this.#tell("chats");
  }

  #insert(message) {
    const { chatId } = message;
    const thread = this.threads.get(chatId);
    const chat = this.chat(chatId);
    const same = (one) => one && identity(one) === identity(message);
    // A thread and the list of chats may have read it apart.
    const copies = new Set([thread?.messages.find(same), chat?.last].filter(same));
    for (const copy of copies) merge(copy, message);
    if (thread && !thread.messages.some(same)) place(thread, message);
    const isLatest = !chat?.last.cursor || !message.cursor || message.cursor > chat.last.cursor;
    // One that the thread had read before the list heard of it is nothing new.
    const [read] = copies;
    if (this.chats && isLatest && !same(chat?.last)) this.#raise(chat, read ?? message, read === undefined);
    this.#tell("thread", chatId);
    this.#tell("chats");
  }

  /** A chat with a new message comes to the top. */
  #raise(chat, message, isNew) {
    const raised = chat ?? { id: message.chatId, name: null, subject: this.#subjects.get(message.chatId) ?? null, phone: message.from, unseen: 0 };
    raised.last = message;
    this.chats = [raised, ...this.chats.filter((one) => one !== raised)];
    if (!chat) this.#askSubjects();
    if (message.fromMe || !isNew) return;
    raised.name ||= message.pushName || null;
    raised.unseen += 1;
    this.#tell("arrived", message.chatId, message);
  }

  #tell(what, chat, message) {
    if (this.#closed) return;
    for (const listener of this.#listeners) listener(what, chat, message);
  }
}

/** Puts a message where its event stands. What is older than a page that was read belongs to a page that was not. */
function place({ messages, more }, message) {
  const after = (one) => message.cursor && one.cursor > message.cursor;
  const oldest = messages.find(({ cursor }) => cursor);
  if (more && oldest && after(oldest)) return;
  let at = messages.length;
  while (at > 0 && after(messages[at - 1])) at -= 1;
  messages.splice(at, 0, message);
}

/** Who wrote it and its id: what makes a message itself. */
export function identity(message) {
  return `${message.fromMe ? "" : message.from} ${message.id}`;
}

function complete(message) {
  return { reactions: [], votes: [], edited: false, revoked: false, rev: 0, ...message, status: message.status ?? (message.fromMe ? "accepted" : null) };
}

/** What the server says of a message that is here already: one that was sent from here, or that can be read only now. */
function merge(known, message) {
  grow(known, message.status);
  known.error = null;
  known.cursor ??= message.cursor;
  known.timestamp = message.timestamp;
  if (!known.edited) Object.assign(known, { text: message.text, content: message.content, mediaUrl: message.mediaUrl, quotedMessage: message.quotedMessage });
  known.rev += 1;
}

function grow(message, status) {
  if (status === "failed") message.status = status;
  else if ((RANKS[status] ?? -1) > (RANKS[message.status] ?? -1) && message.status !== "failed") message.status = status;
}

function sameAuthor(one, other) {
  return one.fromMe === other.fromMe && (one.fromMe || one.from === other.from);
}

function author({ fromMe, from }) {
  return fromMe ? "me" : from;
}

function react(message, { fromMe, from, content }) {
  message.reactions = message.reactions.filter((one) => author(one) !== author({ fromMe, from }));
  if (content.emoji) message.reactions.push({ fromMe, from, emoji: content.emoji });
}

function vote(message, { fromMe, from, content }) {
  message.votes = message.votes.filter((one) => author(one) !== author({ fromMe, from }));
  if (content.options.length > 0) message.votes.push({ fromMe, from, options: content.options });
}

/** An edit of a caption says the caption only. */
function edit(message, content) {
  message.edited = true;
  if (["image", "video", "audio", "document", "sticker"].includes(message.content.kind)) {
    message.caption = content.text ?? content.caption ?? "";
    message.content = { ...message.content, caption: message.caption };
  } else {
    message.content = content;
    message.text = content.text ?? message.text;
  }
}
