// One Baileys client, driven over standard input and output by JSON lines.
//
//   node client.mjs <6|7> <ws url> [phone number to link by code]
//
// Events:   {event: "qr", qr} {event: "code", code} {event: "open", me} {event: "close", code}
//           {event: "message", id, chat, from_me, text} {event: "sent", id} {event: "status", id, status}
//           {event: "error", error}
// Commands: {command: "send", to, text} {command: "read", chat, id} {command: "disconnect"} {command: "connect"}
//           {command: "forget"}: loses its Signal sessions, as a client with a damaged store does
// The end of the input ends it.
//
// Credentials and keys stay in memory. Baileys never reconnects by itself: after 515 (linked) this does.
import { createInterface } from 'node:readline';

const [version, url, linkNumber] = process.argv.slice(2);
const emit = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);

// libsignal prints session keys.
for (const method of ['log', 'info', 'debug', 'warn', 'error']) console[method] = () => {};
process.on('unhandledRejection', (error) => emit('error', { error: String(error?.stack ?? error) }));

const baileys = await import(`baileys-${version}`);
const { makeWASocket, initAuthCreds } = baileys;
const quiet = { level: 'silent', child: () => quiet };
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) {
  quiet[level] = (...line) => {
    if (process.env.BAILEYS_LOG) process.stderr.write(`${level} ${JSON.stringify(line)}\n`);
  };
}

const creds = initAuthCreds();
const store = new Map();
const keys = {
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
const sent = new Map();

let socket;
let codeAsked = false;
let wanted = true;

function connect() {
  wanted = true;
  socket = makeWASocket({
    auth: { creds, keys },
    waWebSocketUrl: url,
    logger: quiet,
    shouldSyncHistoryMessage: () => false,
    getMessage: async (key) => sent.get(key.id),
  });
  const mine = socket;
  socket.ev.on('creds.update', (update) => Object.assign(creds, update));
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
    for (const { key, message, status } of messages) {
      emit('message', {
        id: key.id,
        chat: key.remoteJid,
        from_me: Boolean(key.fromMe),
        text: message?.conversation ?? message?.extendedTextMessage?.text ?? null,
      });
      // Baileys folds a receipt that comes soon into the message that it announces.
      if (key.fromMe && status !== undefined) emit('status', { id: key.id, status });
    }
  });
  socket.ev.on('messages.update', (updates) => {
    for (const { key, update } of updates) {
      if (update.status !== undefined) emit('status', { id: key.id, status: update.status });
    }
  });
}

const commands = {
  async send({ to, text }) {
    const message = await socket.sendMessage(to, { text });
    sent.set(message.key.id, message.message);
    emit('sent', { id: message.key.id });
  },
  async disconnect() {
    wanted = false;
    socket.end(undefined);
  },
  async connect() {
    connect();
  },
  async read({ chat, id }) {
    await socket.readMessages([{ remoteJid: chat, id, fromMe: false }]);
  },
  async forget() {
    for (const key of store.keys()) if (key.startsWith('session/')) store.delete(key);
  },
};

const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const { command, ...fields } = JSON.parse(line);
  try {
    await commands[command](fields);
  } catch (error) {
    emit('error', { error: String(error?.stack ?? error) });
  }
});
// The test that drives this is done with it.
lines.on('close', () => process.exit(0));

connect();
