// Many sessions of Baileys 7 in one process, each with its files in a folder, as the gateways that are built on it keep them. For the
// benchmark; driven over standard input and output by JSON lines.
//
//   node fleet.mjs <ws url> <folder>
//
// Commands: {command: "open", session}: logs in, or asks for a scan
//           {command: "send", session, to, texts}: one after the other; each waits for Baileys
//           {command: "stop"}: leaves WhatsApp, writes what is to be written, and ends
// Events:   {event: "ready"} {event: "qr", session, qr} {event: "open", session} {event: "sent", id} {event: "answer", to, id}
//           {event: "message", id, text, at}: `at` in milliseconds since 1970
//           {event: "error", error}
// A text that begins with "ping" is answered at once, with "pong" in its place.
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [url, folder] = process.argv.slice(2);
const emit = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);

// libsignal prints session keys.
for (const method of ['log', 'info', 'debug', 'warn', 'error']) console[method] = () => {};
process.on('unhandledRejection', (error) => emit('error', { error: String(error?.stack ?? error) }));

const { makeWASocket, makeCacheableSignalKeyStore, useMultiFileAuthState } = await import('baileys-7');
const quiet = { level: 'silent', child: () => quiet };
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) quiet[level] = () => {};

const sockets = new Map();
const writing = new Set();

function write(save) {
  const written = save().finally(() => writing.delete(written));
  writing.add(written);
}

async function open(session) {
  const { state, saveCreds } = await useMultiFileAuthState(join(folder, session));
  const auth = { creds: state.creds, keys: makeCacheableSignalKeyStore(state.keys, quiet) };
  const socket = makeWASocket({ auth, waWebSocketUrl: url, logger: quiet, shouldSyncHistoryMessage: () => false });
  sockets.set(session, socket);
  socket.ev.on('creds.update', () => write(saveCreds));
  socket.ev.on('connection.update', ({ connection, qr, lastDisconnect }) => {
    if (qr) emit('qr', { session, qr });
    if (connection === 'open') emit('open', { session });
    // Linked: WhatsApp wants a login. Baileys leaves that to its user.
    if (connection === 'close' && lastDisconnect?.error?.output?.statusCode === 515) open(session);
  });
  socket.ev.on('messages.upsert', async ({ messages }) => {
    for (const { key, message } of messages) {
      const text = message?.conversation ?? message?.extendedTextMessage?.text;
      if (key.fromMe || !text) continue;
      emit('message', { id: key.id, text, at: Date.now() });
      if (!text.startsWith('ping')) continue;
      const sent = await socket.sendMessage(key.remoteJid, { text: text.replace('ping', 'pong') });
      emit('answer', { to: key.id, id: sent.key.id });
    }
  });
}

const commands = {
  open: ({ session }) => open(session),
  async send({ session, to, texts }) {
    for (const text of texts) {
      const { key } = await sockets.get(session).sendMessage(`${to}@s.whatsapp.net`, { text });
      emit('sent', { id: key.id });
    }
  },
  async stop() {
    for (const socket of sockets.values()) socket.end(undefined);
    await Promise.all(writing);
    process.exit(0);
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
// The benchmark is done with it.
lines.on('close', () => process.exit(0));
emit('ready', {});
