// A bell for new orders. Silent until somebody asks for it. Who asked is remembered in this browser, which lets a page sound only after a touch:
// so after a reload the first touch of the page brings the bell back.

const STORED = "sessiond.bell";

let audio = null;
let isOn = false;

function wished(wish) {
  try {
    if (wish === undefined) return localStorage.getItem(STORED) === "on";
    localStorage.setItem(STORED, wish ? "on" : "off");
  } catch {
    // A browser that keeps nothing.
  }
  return false;
}

export function bellIsOn() {
  return isOn;
}

/** Switches it. By a touch or a key only: else the browser keeps it silent. */
export function switchBell(on) {
  isOn = on;
  wished(on);
  if (!on) return;
  audio ??= new AudioContext();
  audio.resume();
  ring();
}

/** Calls `back` when the first touch has brought the bell back; gives what ends the waiting for it. */
export function awaitTouch(back) {
  if (isOn || !wished()) return () => {};
  const stop = () => ["pointerup", "keydown"].forEach((event) => removeEventListener(event, touched, true));
  const touched = (event) => {
    stop();
    // The switch itself does that.
    if (event.target instanceof Element && event.target.closest("[data-bell]")) return;
    switchBell(true);
    back();
  };
  ["pointerup", "keydown"].forEach((event) => addEventListener(event, touched, true));
  return stop;
}

/** Two notes, loud enough for a kitchen. */
export function ring() {
  if (!isOn || audio === null) return;
  [[880, 0], [1320, 0.22]].forEach(([frequency, after]) => {
    const at = audio.currentTime + after;
    const tone = new OscillatorNode(audio, { type: "triangle", frequency });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.6, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.5);
  });
}
