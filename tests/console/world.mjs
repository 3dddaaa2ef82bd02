// What a scene has at hand: a browser that nothing may leave, the daemon's API, the WhatsApp network with its phones and customers.

import { strict as assert } from "node:assert";
import { mkdtemp, mkdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";

import { chromium } from "playwright-core";

/** How long anything may take on a machine that is busy with other tests. */
export const LIMIT = Number(process.env.SCENE_LIMIT ?? 60_000);

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export class World {
  /** What went wrong in the page that no step looked for. */
  troubles = [];
  /** Network errors in the browser's console are expected while this is set. */
  rough = false;

  static async open({ url, key, network, chromium: executablePath, pictures, viewport, options }) {
    const world = new World();
    Object.assign(world, { url, key, network, pictures });
    world.answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    world.folder = await mkdtemp(path.join(tmpdir(), "console-"));
    world.context = await chromium.launchPersistentContext(world.folder, {
      executablePath, headless: true, args: FLAGS, viewport: viewport ?? { width: 1280, height: 800 }, locale: "en-US", colorScheme: "light", reducedMotion: "reduce", ...options,
    });
    world.context.setDefaultTimeout(LIMIT);
    await world.context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    if (process.env.PAGES) await world.#pagesFromDisk(process.env.PAGES);
    world.page = world.context.pages()[0] ?? (await world.context.newPage());
    world.#watch(world.page);
    return world;
  }

  /**
   * Scripts and styles as they are in the sources (`PAGES` is the path of `src`) and not as they were compiled in: a change of them is seen
   * without a build. The pages themselves are the daemon's: Chromium lets no other page open a WebSocket to this machine.
   */
  async #pagesFromDisk(sources) {
    const kinds = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
    const serve = (folder) => async (route) => {
      const name = new URL(route.request().url()).pathname.split("/").pop();
      await route.fulfill({ path: path.join(sources, folder, name), contentType: kinds[name.split(".").pop()], headers: { "cache-control": "no-store" } });
    };
    await this.context.route(/\/console\/[\w.-]+\.(js|css|svg)$/, serve("console/assets"));
    await this.context.route(/\/docs\/page\.(js|css)$/, serve("api/openapi/page"));
    await this.context.route(/\/docs$/, async (route) => route.fulfill({ response: await route.fetch(), path: path.join(sources, "api/openapi/page/index.html") }));
  }

  #watch(page) {
    const home = new URL(this.url).host;
    const elsewhere = (address) => {
      const url = new URL(address);
      const local = ["blob:", "data:"].includes(url.protocol) || (["http:", "ws:"].includes(url.protocol) && url.host === home);
      if (!local) this.troubles.push(`the page asked for ${address}`);
      if (address.includes(this.key)) this.troubles.push(`the key is in an address: ${address}`);
    };
    page.on("request", (request) => elsewhere(request.url()));
    page.on("websocket", (socket) => elsewhere(socket.url()));
    page.on("pageerror", (error) => this.troubles.push(`the page threw ${error.stack}`));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      const network = /^(Failed to load resource|WebSocket connection to)/.test(message.text());
      if (!(network && this.rough)) this.troubles.push(`the page's console: ${message.text()}`);
    });
  }

  say(line) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }

  /** Has the test do something. */
  async ask(what) {
    this.say({ event: "ask", what });
    const { value } = await this.answers.next();
    return JSON.parse(value);
  }

  async assertClean() {
    assert.deepEqual(this.troubles, []);
  }

  async close() {
    await this.context.close();
    await rm(this.folder, { recursive: true, force: true });
    process.exit(0);
  }

  /** The page's WebSocket, which can be cut as a network does. Before the page is opened. */
  async line() {
    const sockets = [];
    let isCut = false;
    await this.page.routeWebSocket(/socket\.io/, (socket) => {
      if (isCut) return socket.close({ code: 1001 });
      socket.connectToServer();
      sockets.push(socket);
    });
    this.rough = true;
    const cut = async () => {
      isCut = true;
      for (const socket of sockets.splice(0)) await socket.close({ code: 1001 });
    };
    return { cut, mend: () => { isCut = false; } };
  }

  /** The console's page, in, and from what is seen first to the list of tenants. */
  async signIn() {
    await this.page.goto(`${this.url}/console/`);
    await this.page.getByLabel("Admin key").fill(this.key);
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await this.go("#/");
    await this.page.getByRole("heading", { name: "Tenants", level: 1 }).waitFor();
  }

  /** Goes to a place of the console. */
  async go(place) {
    await this.page.evaluate((hash) => { location.hash = hash; }, place);
  }

  async api(method, route, body) {
    const answer = await fetch(`${this.url}${route}`, {
      method, headers: { "X-Api-Key": this.key, "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  }

  /** The network's control API. */
  async control(method, route, body) {
    const answer = await fetch(`${this.network}${route}`, { method, headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
    const found = await answer.json();
    assert.ok(answer.ok, `${method} ${route}: ${JSON.stringify(found)}`);
    return found;
  }

  async phone(name) {
    return (await this.control("POST", "/phones", { name })).number;
  }

  async customer() {
    return (await this.control("POST", "/customers", {})).number;
  }

  /** A customer says something: a text, or anything that the network can say. */
  async says(customer, to, say) {
    const body = typeof say === "string" ? { to, text: say } : { to, message: say };
    return (await this.control("POST", `/customers/${customer}/send`, body)).id;
  }

  async inbox(customer) {
    return this.control("GET", `/customers/${customer}/inbox`);
  }

  /** A tenant that is paired, without the console's doing. */
  async paired(tenant, owner) {
    const number = await this.phone(owner ?? null);
    await this.api("POST", "/api/baileys/connect", { tenantId: tenant });
    const { body } = await this.api("GET", `/api/baileys/qr?tenantId=${tenant}`);
    await this.control("POST", `/phones/${number}/scan`, { qr: body.qr });
    await this.until("the pairing", async () => (await this.api("GET", `/api/sessions/${tenant}`)).body.status === "WORKING");
    return number;
  }

  async until(what, holds) {
    const deadline = Date.now() + LIMIT;
    for (;;) {
      const found = await holds();
      if (found) return found;
      assert.ok(Date.now() < deadline, `${what} did not come about`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Keeps a picture, when there is a folder for it. */
  async picture(name) {
    if (!this.pictures) return null;
    await mkdir(this.pictures, { recursive: true });
    const file = path.join(this.pictures, `${name}.png`);
    await this.page.screenshot({ path: file });
    return file;
  }

  /** No serious violation of the rules of accessibility in what is shown. */
  async accessible(name) {
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => `${node.html} ${node.failureSummary}`)]), [], name);
    await this.picture(name);
  }

  /** What a reader hears of the page, for a failed scene. */
  async outline() {
    return this.page.locator("body").ariaSnapshot({ timeout: 2000 }).catch(() => null);
  }
}
