// One Baileys client, driven over standard input and output by JSON lines.
//
//   node client.mjs <6|7> <ws url> [phone number to link by code]
//
// Events:   {event: "qr", qr} {event: "code", code} {event: "open", me} {event: "close", code}
//           {event: "message", id, chat, participant, from_me, text, kind, content, media, media_error}
//           {event: "sent", id, secret} {event: "status", id, status} {event: "presence", id, presences}
//           {event: "group", id, update} {event: "participants", id, action, participants}
//           {event: "history", request, messages} {event: "result", result} {event: "error", error}
// Commands: {command: "send", to, text} {command: "send", to, content, options}
//           {command: "call", method, arguments} {command: "votes", poll, vote, creator, voter, secret}
//           {command: "read", chat, id} {command: "disconnect"} {command: "connect"}
//           {command: "forget"}: loses its Signal sessions, as a client with a damaged store does
//           {command: "store"}: goes on; {event: "stored"} when all that it has to store by now is stored
//           {command: "stop"}: goes away for good; {event: "stopped"} when all that it has to store is stored
// The end of the input ends it.
//
// `content` is Baileys' own; bytes are {"$base64": "…"} in both directions. `media` is {sha256, size} of a file that
// was downloaded and decrypted; for its certificate the process needs NODE_EXTRA_CA_CERTS, for a history MEDIA_HOST
// (host:port). `call` is any method of the socket.
//
// Credentials and keys stay in memory, or with STORE are in that folder, as Baileys' own multi-file store. Baileys never
// reconnects by itself: after 515 (linked) this does.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

const [version, url, linkNumber] = process.argv.slice(2);
const emit = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields }, bytesOut)}\n`);

// `JSON.stringify` has called a Buffer's toJSON before it calls this.
function bytesOut(_, value) {
  if (value?.type === 'Buffer' && Array.isArray(value.data)) return { $base64: Buffer.from(value.data).toString('base64') };
  if (value instanceof Uint8Array) return { $base64: Buffer.from(value).toString('base64') };
  return value;
}

const bytesIn = (_, value) => (typeof value?.$base64 === 'string' ? Buffer.from(value.$base64, 'base64') : value);

// libsignal prints session keys.
for (const method of ['log', 'info', 'debug', 'warn', 'error']) console[method] = () => {};
process.on('unhandledRejection', (error) => emit('error', { error: String(error?.stack ?? error) }));

// A history names no host, and Baileys then takes WhatsApp's.
const { MEDIA_HOST } = process.env;
if (MEDIA_HOST) {
  const direct = globalThis.fetch;
  globalThis.fetch = (url, init) => direct(String(url).replace('https://mmg.whatsapp.net/', `https://${MEDIA_HOST}/`), init);
}

const baileys = await import(`baileys-${version}`);
const { makeWASocket, initAuthCreds, normalizeMessageContent, getContentType } = baileys;
const quiet = { level: 'silent', child: () => quiet };
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) {
  quiet[level] = (...line) => {
    if (process.env.BAILEYS_LOG) process.stderr.write(`${level} ${JSON.stringify(line)}\n`);
  };
}

const files = process.env.STORE ? await baileys.useMultiFileAuthState(process.env.STORE) : null;
const creds = files?.state.creds ?? initAuthCreds();
const store = new Map();
const inMemory = {
  get: async (type, ids) => {
    const found = {};
    for (const id of ids) {
      const value = store.get(`${type}/${id}`);
      if (value !== undefined) found[id] = value;
    }
    return found;
  },
  set: async (data) => {
    for (const [type, entries] of Object.entries(data)) {
      for (const [id, value] of Object.entries(entries ?? {})) {
        if (value == null) store.delete(`${type}/${id}`);
        else store.set(`${type}/${id}`, value);
      }
    }
  },
};
// Writes that go on.
const writes = new Set();
const tracked = (write) => {
  writes.add(write);
  return write.finally(() => writes.delete(write));
};
const keys = files
  ? { get: (type, ids) => files.state.keys.get(type, ids), set: (data) => tracked(files.state.keys.set(data)) }
  : inMemory;
const sent = new Map();

let socket;
let codeAsked = false;
let wanted = true;

const ON_DEMAND = baileys.proto.HistorySync.HistorySyncType.ON_DEMAND;

const FILES = {
  imageMessage: 'image',
  videoMessage: 'video',
  ptvMessage: 'video',
  audioMessage: 'audio',
  documentMessage: 'document',
  stickerMessage: 'sticker',
};

// Version 6 takes every file from mmg.whatsapp.net; told the address, it does the rest.
async function download(file, type) {
  const stream =
    version === '6'
      ? await baileys.downloadEncryptedContent(file.url, await baileys.getMediaKeys(file.mediaKey, type))
      : await baileys.downloadContentFromMessage(file, type);
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function arrived({ key, message }) {
  const content = normalizeMessageContent(message) ?? undefined;
  const kind = content ? (getContentType(content) ?? null) : null;
  const fields = {
    id: key.id,
    chat: key.remoteJid,
    participant: key.participant ?? null,
    from_me: Boolean(key.fromMe),
    text: content?.conversation ?? content?.extendedTextMessage?.text ?? null,
    kind,
    content: kind ? content[kind] : null,
    wrapped: message !== undefined && message !== null && content !== message,
    secret: content?.messageContextInfo?.messageSecret ?? message?.messageContextInfo?.messageSecret ?? null,
    media: null,
    media_error: null,
  };
  if (FILES[kind]) {
    try {
      const bytes = await download(content[kind], FILES[kind]);
      fields.media = { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
    } catch (error) {
      fields.media_error = String(error);
    }
  }
  emit('message', fields);
}

// Files are downloaded one after the other: events keep the order of the messages.
let arrivals = Promise.resolve();

function connect() {
  wanted = true;
  socket = makeWASocket({
    auth: { creds, keys },
    waWebSocketUrl: url,
    logger: quiet,
    // What is asked for, not what comes after linking, for which Baileys would wait.
    shouldSyncHistoryMessage: ({ syncType }) => syncType === ON_DEMAND,
    getMessage: async (key) => sent.get(key.id),
  });
  const mine = socket;
  socket.ev.on('creds.update', (update) => {
    Object.assign(creds, update);
    if (files) tracked(files.saveCreds());
  });
  socket.ev.on('connection.update', async ({ connection, qr, lastDisconnect }) => {
    if (qr && linkNumber) {
      if (!codeAsked) {
        codeAsked = true;
        emit('code', { code: await socket.requestPairingCode(linkNumber) });
      }
    } else if (qr) {
      emit('qr', { qr });
    }
    if (connection === 'open') emit('open', { me: socket.user });
    if (connection === 'close' && mine === socket) {
      const code = lastDisconnect?.error?.output?.statusCode ?? null;
      emit('close', { code });
      if (code === 515 && wanted) connect();
    }
  });
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const message of messages) {
      const { key, status } = message;
      arrivals = arrivals.then(() => arrived(message));
      // Baileys folds a receipt that comes soon into the message that it announces.
      if (key.fromMe && status !== undefined) emit('status', { id: key.id, status });
    }
  });
  socket.ev.on('messaging-history.set', ({ messages, peerDataRequestSessionId }) => {
    const kept = messages.map(({ key, message }) => ({ id: key.id, from_me: Boolean(key.fromMe), message }));
    emit('history', { request: peerDataRequestSessionId ?? null, messages: kept });
  });
  socket.ev.on('presence.update', ({ id, presences }) => emit('presence', { id, presences }));
  socket.ev.on('groups.upsert', (groups) => {
    for (const group of groups) emit('group', { id: group.id, update: group });
  });
  socket.ev.on('groups.update', (groups) => {
    for (const group of groups) emit('group', { id: group.id, update: group });
  });
  socket.ev.on('group-participants.update', ({ id, action, participants }) => {
    emit('participants', { id, action, participants });
  });
  socket.ev.on('messages.update', (updates) => {
    for (const { key, update } of updates) {
      if (update.status !== undefined) emit('status', { id: key.id, status: update.status });
    }
  });
}

// Version 6 uploads a file that it has written without waiting for its end (`encryptedStream`): now and then it is short,
// and a host that checks hashes refuses it. Nothing was sent then.
async function patiently(send) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send();
    } catch (error) {
      if (tries === 5 || !String(error).includes('Media upload failed')) throw error;
    }
  }
}

/** All that has to be stored is. A message that came in at the last moment is decrypted and stored in steps. */
async function stored() {
  for (let quiet = 0; quiet < 5; quiet = writes.size ? 0 : quiet + 1) {
    await Promise.allSettled(writes);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const commands = {
  async send({ to, text, content, options }) {
    const message = await patiently(() => socket.sendMessage(to, content ?? { text }, options));
    sent.set(message.key.id, message.message);
    emit('sent', { id: message.key.id, secret: message.message?.messageContextInfo?.messageSecret ?? null });
  },
  async call({ method, arguments: given }) {
    emit('result', { result: (await socket[method](...given)) ?? null });
  },
  async votes({ poll, vote, creator, voter, secret }) {
    const opened = baileys.decryptPollVote(vote, {
      pollCreatorJid: creator,
      pollMsgId: poll,
      pollEncKey: secret,
      voterJid: voter,
    });
    emit('result', { result: opened.selectedOptions.map((option) => Buffer.from(option).toString('hex')) });
  },
  async disconnect() {
    wanted = false;
    socket.end(undefined);
  },
  async connect() {
    connect();
  },
  async stop() {
    wanted = false;
    socket.end(undefined);
    await stored();
    emit('stopped', {});
  },
  async store() {
    await stored();
    emit('stored', {});
  },
  async read({ chat, id }) {
    await socket.readMessages([{ remoteJid: chat, id, fromMe: false }]);
  },
  async forget() {
    for (const key of store.keys()) if (/^(session|sender-key)\//.test(key)) store.delete(key);
  },
};

const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const { command, ...fields } = JSON.parse(line, bytesIn);
  try {
    await commands[command](fields);
  } catch (error) {
    emit('error', { error: String(error?.stack ?? error) });
  }
});
// The test that drives this is done with it.
lines.on('close', () => process.exit(0));

connect();
