// A dashboard as the restaurants' pages are: the real socket.io-client. Prints one JSON line for everything that comes, and
// after a cut goes on where it was.
//   node client.mjs URL KEY TENANT [CURSOR] [TRANSPORT]
// A line on stdin, "pause" or "resume" as JSON, stops it from reading and lets it go on.
import readline from "node:readline";

import { io } from "socket.io-client";

const [url, key, tenant, since, transport] = process.argv.slice(2);
let cursor = since === "-" ? undefined : since;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const socket = io(url, {
  auth: key ? { key } : {},
  transports: transport ? [transport] : ["polling", "websocket"],
  reconnectionDelay: 50,
  reconnectionDelayMax: 500,
});
socket.onAny((event, payload) => {
  cursor = payload?.eventId ?? cursor;
  say({ event, payload });
});
socket.on("connect", () => {
  say({ event: "connect" });
  socket.emit("register", cursor ? { tenantId: tenant, cursor } : tenant);
});
socket.on("disconnect", (reason) => say({ event: "disconnect", payload: reason }));
socket.on("connect_error", (error) => say({ event: "connect_error", payload: error.message }));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  socket.io.engine.transport.ws[JSON.parse(line)]();
  say({ event: "done", payload: JSON.parse(line) });
});
