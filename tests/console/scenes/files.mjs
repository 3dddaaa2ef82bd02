// Files of messages: fetched with the operator's key, shown from memory; what could run is saved, never opened.

import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";

import { PNG } from "pngjs";

const HTML = "<script>globalThis.broken=1</script>";

export default async function files(world) {
  const { page } = world;
  const number = await world.paired("trattoria");
  const customer = await world.customer();
  const base64 = (bytes) => Buffer.from(bytes).toString("base64");
  // Before there is a page with a policy: Chromium makes the film.
  const film = await page.evaluate(record);
  await world.signIn();
  await page.getByRole("link", { name: "trattoria" }).click();
  const say = (what) => world.says(customer, number, what);
  const image = await say({ kind: "image", data: base64(picture()), caption: "la mesa" });
  await page.getByRole("list", { name: "Conversations" }).getByRole("link").click();
  const message = (id) => page.locator(`.messages [data-id="${id}"]`);

  // A picture is there without a click, with all its pixels, and larger with one.
  const shown = message(image).getByRole("img", { name: "la mesa" });
  await world.until("the picture", () => shown.evaluate((node) => node.complete && node.naturalWidth === 64 && node.src.startsWith("blob:")).catch(() => false));
  await message(image).getByRole("button", { name: "Enlarge: la mesa" }).click();
  const large = page.getByRole("dialog", { name: "la mesa" });
  await large.getByRole("img").waitFor();
  await world.accessible("picture");
  await large.getByRole("button", { name: "Close" }).click();
  await large.waitFor({ state: "detached" });

  // Sound and film are fetched when somebody wants them, and play.
  const voice = await say({ kind: "audio", data: base64(sound()), mimetype: "audio/wav", seconds: 1 });
  const video = await say({ kind: "video", data: film, mimetype: "video/webm", caption: "el horno" });
  for (const [id, tag] of [[voice, "audio"], [video, "video"]]) {
    assert.equal(await message(id).locator(tag).count(), 0);
    await message(id).getByRole("button", { name: "Load and play" }).click();
    await world.until(`the ${tag} to play`, () => message(id).locator(tag).evaluate((node) => node.currentTime > 0 || node.ended).catch(() => false));
  }

  // A document is saved under its name, byte for byte. So is what calls itself a picture and is a page.
  const order = await say({ kind: "document", data: base64("%PDF-1.7 two pizzas"), file_name: "../pedido\u202e.pdf", mimetype: "application/pdf" });
  const saved = await download(page, message(order).getByRole("button", { name: "Download" }));
  assert.deepEqual(saved, { name: "_pedido .pdf", text: "%PDF-1.7 two pizzas" });
  const trap = await say({ kind: "document", data: base64(HTML), file_name: "menu.html", mimetype: "text/html" });
  assert.deepEqual(await download(page, message(trap).getByRole("button", { name: "Download" })), { name: "menu.html", text: HTML });
  const disguised = await say({ kind: "image", data: base64(HTML), mimetype: "text/html" });
  await message(disguised).getByText("This is not a picture that can be shown.").waitFor();
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);

  // A host that is down is tried again, first by itself, then by hand.
  world.rough = true;
  await world.control("POST", "/faults", { kind: "media-down" });
  const late = await say({ kind: "document", data: base64("late"), file_name: "late.txt", mimetype: "text/plain" });
  await message(late).getByRole("button", { name: "Download" }).click();
  await message(late).getByRole("button", { name: "Try again" }).waitFor();
  await world.control("DELETE", "/faults");
  await message(late).getByRole("button", { name: "Try again" }).click();
  assert.equal((await download(page, message(late).getByRole("button", { name: "Download" }))).text, "late");
  world.rough = false;

  // After a reload it is there again, once one comes to it.
  await page.reload();
  await message(image).scrollIntoViewIfNeeded();
  await world.until("the picture again", () => shown.evaluate((node) => node.naturalWidth === 64).catch(() => false));
  await world.accessible("files");
}

async function download(page, button) {
  const [saved] = await Promise.all([page.waitForEvent("download"), button.click()]);
  return { name: saved.suggestedFilename(), text: await readFile(await saved.path(), "utf8") };
}

/** 64 pixels square. */
function picture() {
  const image = new PNG({ width: 64, height: 64 });
  for (let place = 0; place < image.data.length; place += 4) image.data.set([place % 251, 120, 90, 255], place);
  return PNG.sync.write(image);
}

/** A second of a tone, as WAV. */
function sound() {
  const rate = 8000;
  const bytes = Buffer.alloc(44 + rate);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + rate, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(rate, 28);
  bytes.writeUInt16LE(1, 32);
  bytes.writeUInt16LE(8, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(rate, 40);
  for (let n = 0; n < rate; n += 1) bytes[44 + n] = 128 + 60 * Math.sin((n * 2 * Math.PI * 440) / rate);
  return bytes;
}

/** Runs in the browser: half a second of a moving square, as WebM, in base64. */
async function record() {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  for (let n = 0; n < 20; n += 1) {
    pen.fillStyle = `hsl(${n * 18} 80% 50%)`;
    pen.fillRect(n * 4, n * 4, 60, 60);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  recorder.stop();
  await stopped;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}
