// One connection to the daemon's Socket.IO: its framing over a WebSocket, and nothing more. Engine.IO v4 puts a digit before each frame,
// Socket.IO v5 another before each packet: `0` is the greeting, `2` a ping, `3` its answer, `4` a packet; of packets `0` is "connected",
// `1` "disconnected", `2` an event, `4` a refusal.

/** How long the greeting and the handshake may take. */
const HANDSHAKE_MS = 15_000;

/**
 * Opens a connection. `onopen()` when it is let in, `onevent(name, payload)` for each event, `onclose(reason)` once, at the end: "refused: …" when
 * the credential is not taken, else what broke. Gives `{ emit, close }`.
 */
export function connect(address, key, { onopen, onevent, onclose }) {
  const socket = new WebSocket(address);
  let watch = setTimeout(() => end("timeout"), HANDSHAKE_MS);
  let patience = HANDSHAKE_MS;
  let ended = false;

  function end(reason) {
    if (ended) return;
    ended = true;
    clearTimeout(watch);
    socket.close();
    onclose(reason);
  }

  /** A server that is silent for longer than it promised is gone, even if no packet says so. */
  function alive() {
    clearTimeout(watch);
    watch = setTimeout(() => end("silence"), patience);
  }

  function packet(text) {
    switch (text[0]) {
      case "0":
        return onopen();
      case "1":
        return end("disconnected");
      case "2": {
        const [name, payload] = JSON.parse(text.slice(1));
        return onevent(name, payload);
      }
      case "4": {
        const refusal = JSON.parse(text.slice(1));
        return end(`refused: ${refusal?.message ?? refusal}`);
      }
    }
  }

  function frame(text) {
    switch (text[0]) {
      case "0": {
        const { pingInterval, pingTimeout } = JSON.parse(text.slice(1));
        patience = pingInterval + pingTimeout;
        alive();
        return socket.send(`40${JSON.stringify({ key })}`);
      }
      case "1":
        return end("closed");
      case "2":
        alive();
        return socket.send("3");
      case "4":
        return packet(text.slice(1));
    }
  }

  socket.onmessage = ({ data }) => {
    if (ended || typeof data !== "string") return;
    try {
      frame(data);
    } catch (error) {
      // What cannot be read is not skipped: the next connection brings it again, from the cursor on.
      end(`unreadable: ${error.message}`);
    }
  };
  socket.onclose = () => end("closed");
  socket.onerror = () => end("error");

  return {
    emit(name, payload) {
      if (socket.readyState === WebSocket.OPEN) socket.send(`42${JSON.stringify([name, payload])}`);
    },
    close: () => end("left"),
  };
}
