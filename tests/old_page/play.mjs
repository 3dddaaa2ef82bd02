// Opens the connect page of the service before in a real Chromium and pairs by what it draws: node play.mjs. What the world is comes in
// the environment as JSON (`WORLD`); JSON lines on stdout say how it goes. Nothing leaves the machine: the page comes from a folder, the
// scripts of others from npm.

import { strict as assert } from "node:assert";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import jsQR from "jsqr";
import { chromium } from "playwright-core";
import { PNG } from "pngjs";

const LIMIT = 60_000;
const { url, network, chromium: executablePath, number, folder } = JSON.parse(process.env.WORLD);
const home = folder ?? import.meta.dirname;
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** What the page asks for: its own files, or a package's. */
async function serve(route) {
  const asked = new URL(route.request().url());
  if (asked.origin === url) return route.continue();
  try {
    let file = path.join(home, asked.pathname);
    const packaged = /^\/npm\/([^@]+)@[^/]+\/(.+)$/.exec(asked.pathname);
    const firebase = /^\/firebasejs\/[^/]+\/(.+)$/.exec(asked.pathname);
    if (packaged) file = path.join(home, "node_modules", packaged[1], packaged[2]);
    if (firebase) file = path.join(home, "node_modules", "firebase", firebase[1]);
    if (!folder && asked.pathname === "/config.js") return route.fulfill({ contentType: "text/javascript", body: `const API_BASE_URL = ${JSON.stringify(url)};` });
    let body = await readFile(file, path.extname(file) in TYPES ? "utf8" : undefined);
    // All that is changed in a page that is given: where its service is.
    if (typeof body === "string") body = body.replaceAll("http://localhost:3000", url);
    return route.fulfill({ contentType: TYPES[path.extname(file)] ?? "application/octet-stream", body });
  } catch (error) {
    say({ event: "note", asked: asked.href, error: error.message });
    return route.abort();
  }
}

const profile = await mkdtemp(path.join(tmpdir(), "old-page-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath, headless: true, deviceScaleFactor: 1, viewport: { width: 1000, height: 1000 },
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1", "--disable-features=LocalNetworkAccessChecks,PrivateNetworkAccessRespectPreflightResults"],
});
const page = context.pages()[0] ?? (await context.newPage());
const heard = [];
try {
  page.on("console", (message) => heard.push(message.text()));
  page.on("pageerror", (error) => heard.push(error.stack));
  await context.route("**/*", serve);
  await context.routeWebSocket(/./, (socket) => socket.close());
  await page.goto(`http://localhost/${folder ? "whatsapp-connect" : "page"}.html?tenantId=trattoria`);
  // What the library has drawn, pixel for pixel, on white, as a phone sees it.
  const picture = () => page.evaluate(() => {
    const drawn = document.querySelector("#qr-code canvas");
    const border = 24;
    const seen = Object.assign(document.createElement("canvas"), { width: drawn.width + 2 * border, height: drawn.height + 2 * border });
    const pen = seen.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, seen.width, seen.height);
    pen.drawImage(drawn, border, border);
    return seen.toDataURL().split(",")[1];
  });
  const seen = async () => {
    const { width, height, data } = PNG.sync.read(Buffer.from(await picture(), "base64"));
    return jsQR(new Uint8ClampedArray(data), width, height)?.data;
  };
  const until = async (what, holds) => {
    for (const deadline = Date.now() + LIMIT; ; ) {
      const found = await holds();
      if (found) return found;
      assert.ok(Date.now() < deadline, `${what} did not come about`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const code = await until("a code that can be read", () => seen().catch(() => null));
  const scanned = await fetch(`${network}/phones/${number}/scan`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ qr: code }),
  });
  assert.ok(scanned.ok, await scanned.text());
  await page.locator("#connected-view").waitFor({ state: "visible", timeout: LIMIT });
  await until("the number", async () => (await page.locator("#phone-number").textContent()).includes(number));
  say({ event: "done", bytes: code.length, code: code.slice(0, 40) });
} catch (error) {
  say({ event: "failed", error: error.stack, heard, page: await page.locator("body").innerText().catch(() => null) });
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
  process.exit(0);
}
