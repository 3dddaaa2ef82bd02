// A dashboard as the restaurants' pages are: the real socket.io-client. Prints one JSON line for everything that comes.
//   node client.mjs URL KEY TENANT [CURSOR] [TRANSPORT]
import { io } from "socket.io-client";

const [url, key, tenant, cursor, transport] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const socket = io(url, {
  auth: key ? { key } : {},
  transports: transport ? [transport] : ["polling", "websocket"],
});
socket.onAny((event, payload) => say({ event, payload }));
socket.on("connect", () => {
  say({ event: "connect" });
  socket.emit("register", cursor && cursor !== "-" ? { tenantId: tenant, cursor } : tenant);
});
socket.on("disconnect", (reason) => say({ event: "disconnect", payload: reason }));
socket.on("connect_error", (error) => say({ event: "connect_error", payload: error.message }));
