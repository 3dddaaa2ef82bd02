// Looks at the page that shows the document, in a real Chromium: what it loads, what it shows, what it does with a hostile document.
//
// node docs.mjs <Chromium> <address of the daemon> [<folder for screenshots>]; prints one JSON object.

import { chromium } from "playwright-core";

const [executablePath, address, folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

/** A page that notes where it goes and what goes wrong. */
async function visit(options, document) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const seen = { requests: [], troubles: [] };
  page.on("request", (request) => seen.requests.push(request.url()));
  page.on("console", (message) => { if (message.type() === "error") seen.troubles.push(message.text()); });
  page.on("pageerror", (error) => seen.troubles.push(String(error)));
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  });
  if (document) await page.route("**/openapi.json", (route) => route.fulfill({ json: document }));
  await page.goto(`${address}/docs`);
  await page.waitForFunction(() => /^\d+ operations?$/.test(globalThis.document.getElementById("count").textContent));
  return { page, seen, close: () => context.close() };
}

const open = (page, most) => page.evaluate((most) => {
  for (let n = 0; n < 4; n++) {
    const closed = [...document.querySelectorAll("details:not([open])")].slice(0, most);
    closed.forEach((details) => { details.open = true; });
  }
}, most);
const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50))));
const wider = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
const violations = (page) => page.evaluate(() => window.violations);
const result = {};

{
  const phone = { viewport: { width: 375, height: 800 }, colorScheme: "dark" };
  const { page, seen, close } = await visit(phone);
  result.operations = await page.locator("details.operation").count();
  for (let n = 0; n < 4; n++) {
    await open(page, 5000);
    await settle(page);
  }
  result.empty = await page.locator("details[open]:not(:has(> :nth-child(2)))").count();
  result.wide = await wider(page);
  result.violations = await violations(page);
  Object.assign(result, seen);
  await close();
}

{
  // By keyboard alone: to the filter, a word, to what it leaves, open it.
  const { page, seen, close } = await visit({ viewport: { width: 1200, height: 900 }, colorScheme: "light" });
  for (let n = 0; n < 10; n++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.id === "filter")) break;
  }
  await page.keyboard.type("sendpollvote");
  result.left = await page.locator("details.operation:visible").count();
  await page.evaluate(() => document.querySelector("main").scrollTo(0, 0));
  for (let n = 0; n < 60; n++) {
    if (await page.evaluate(() => document.activeElement.matches("details.operation > summary"))) break;
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await settle(page);
  result.opened = await page.locator("details.operation[open] pre").allTextContents();
  if (folder) await page.screenshot({ path: `${folder}/docs-light.png`, fullPage: false });
  result.troubles.push(...seen.troubles);
  await close();
}

if (folder) {
  const { page, close } = await visit({ viewport: { width: 390, height: 844 }, colorScheme: "dark", deviceScaleFactor: 2 });
  await page.locator("#postSendPoll").evaluate((details) => { details.open = true; details.scrollIntoView(); });
  await settle(page);
  await page.screenshot({ path: `${folder}/docs-dark-phone.png` });
  await close();
}

{
  const evil = `"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;
  const schema = { type: "object", description: evil, properties: { [evil]: { type: "string", description: evil, examples: [evil] } }, required: [evil] };
  const operation = {
    operationId: "evil", tags: [evil], summary: evil, description: `**${evil}** \`${evil}\``, security: [{ key: [evil] }],
    parameters: [{ name: evil, in: "query", required: true, schema: { type: "string", examples: [evil] } }],
    requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Evil" } } } },
    responses: { 200: { description: evil, content: { [evil]: { schema: { anyOf: [{ $ref: "#/components/schemas/Evil" }, { $ref: "#/nowhere/__proto__" }] } } } } },
  };
  const document = {
    openapi: "3.1.0", info: { title: evil, version: evil, description: evil }, tags: [{ name: evil }],
    paths: { [`/${evil}`]: { post: operation } }, components: { schemas: { Evil: schema, Loop: { $ref: "#/components/schemas/Loop" } } },
  };
  const { page, seen, close } = await visit({}, document);
  for (let n = 0; n < 4; n++) {
    await open(page, 5000);
    await settle(page);
  }
  result.hacked = await page.evaluate(() => window.hacked ?? null);
  result.shownAsText = (await page.locator("main").textContent()).includes(evil);
  result.pictures = await page.locator("img, main script").count();
  result.troubles.push(...seen.troubles);
  await close();
}

await browser.close();
console.log(JSON.stringify(result));
