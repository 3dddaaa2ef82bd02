// Looks at every page of the guide in a real Chromium, on a phone and in the dark, and finds a word on one of them.
//
// node guide.mjs <Chromium> <address of the daemon> [<folder for pictures>]; prints one JSON object.

import { chromium } from "playwright-core";

const [executablePath, address, folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 375, height: 800 }, colorScheme: "dark" });
const page = await context.newPage();
const result = { requests: [], troubles: [], violations: [], wide: false };
page.on("request", (request) => result.requests.push(request.url()));
page.on("console", (message) => { if (message.type() === "error") result.troubles.push(message.text()); });
page.on("pageerror", (error) => result.troubles.push(String(error)));
await page.addInitScript(() => {
  window.violations = [];
  addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
});

await page.goto(`${address}/docs/guide/`);
const pages = await page.locator("nav[aria-label=Guide] a").evaluateAll((links) => links.map((link) => link.href));
for (const url of pages) {
  await page.goto(url);
  result.violations.push(...await page.evaluate(() => window.violations));
  result.wide ||= await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (folder) await page.screenshot({ path: `${folder}/guide-${url.split("/").pop()}.png` });
}

await page.goto(`${address}/docs/guide/problems`);
await page.fill("#find", "vault does not answer wasn't");
result.none = await page.locator("#text > :visible").count();
await page.fill("#find", "keeps what comes in meanwhile");
const headings = page.locator("#text > h3:visible");
result.found = await headings.first().getAttribute("id");
result.shown = await page.locator("#here li:visible").count() === await headings.count();
await page.fill("#find", "");
result.all = await page.locator("#text > h3:visible").count() > 40;
await context.close();

if (folder) {
  const wide = await browser.newPage({ viewport: { width: 1200, height: 900 }, colorScheme: "light" });
  await wide.goto(`${address}/docs/guide/webhooks`);
  await wide.screenshot({ path: `${folder}/guide-light.png` });
}
await browser.close();
console.log(JSON.stringify(result));
