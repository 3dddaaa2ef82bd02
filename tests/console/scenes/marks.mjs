// The marks of WhatsApp's writers: *bold*, _italic_, ~struck~, `code`. Elements are made of nothing else, and of nothing that only looks like one.

import { strict as assert } from "node:assert";

/** What is written, and what of it is marked, by element. */
const CASES = [
  ["*negrita* y _cursiva_ y ~tachado~ y `código`", "negrita y cursiva y tachado y código", { strong: ["negrita"], em: ["cursiva"], s: ["tachado"], code: ["código"] }],
  ["*todo _junto_*, (*sí*). ¡*Ya*!", "todo junto, (sí). ¡Ya!", { strong: ["todo junto", "sí", "Ya"], em: ["junto"] }],
  ["```uno *dos*\ntres```", "uno *dos*\ntres", { code: ["uno *dos*\ntres"] }],
  ["snake_case_name 2*3*4 * lista * ** __ ~~ `` *", "snake_case_name 2*3*4 * lista * ** __ ~~ `` *", {}],
  ["*sin fin\ny otra* línea _ no_", "*sin fin\ny otra* línea _ no_", {}],
  ["*https://example.com/a_b_c* y _http://example.com/~x_", "https://example.com/a_b_c y http://example.com/~x", { strong: ["https://example.com/a_b_c"], em: ["http://example.com/~x"], a: ["https://example.com/a_b_c", "http://example.com/~x"] }],
  ["`https://example.com`", "https://example.com", { code: ["https://example.com"] }],
  ["*<b onclick=globalThis.broken=1>x</b>*", "<b onclick=globalThis.broken=1>x</b>", { strong: ["<b onclick=globalThis.broken=1>x</b>"] }],
  ["*_~*_~*_~ hola ~_*~_*~_*", null, null],
];

export default async function marks(world) {
  const { page } = world;
  const number = await world.paired("trattoria");
  const customer = await world.customer();
  await world.says(customer, number, "*hoy* a las _ocho_");
  await world.signIn();
  await world.go("#/t/trattoria");
  const chats = page.getByRole("list", { name: "Conversations" }).getByRole("link");
  // In one line the marks are left out.
  await chats.getByText("hoy a las ocho").waitFor();
  await chats.click();
  const log = page.locator(".messages");
  for (const [text, shown, found] of CASES) {
    const box = log.locator(`[data-id="${await world.says(customer, number, text)}"] .written`);
    await box.waitFor();
    if (shown === null) continue;
    assert.equal(await box.evaluate((node) => node.textContent), shown);
    const elements = await box.evaluate((node) => [...node.querySelectorAll("*")].map((one) => [one.localName, one.textContent]));
    const by = {};
    for (const [name, words] of elements) (by[name] ??= []).push(words);
    assert.deepEqual(by, found, text);
  }
  // What the tenant answers is marked as well.
  await page.getByLabel("Write a message").and(page.locator("textarea")).fill("*Confirmado*");
  await page.keyboard.press("Enter");
  await log.locator(".own strong", { hasText: "Confirmado" }).waitFor();
  assert.ok((await world.until("the answer", async () => (await world.inbox(customer)).find(({ text }) => text.includes("Confirmado")))).text === "*Confirmado*", "it goes out as it was typed");

  // A text of nothing but marks is no more work than another one.
  const many = ["*", "_", "~", "`"].map((mark) => `${mark}a `.repeat(4000));
  for (const text of [...many, "*_~".repeat(8000), "```".repeat(8000), `${"*a* ".repeat(8000)}`]) {
    const box = log.locator(`[data-id="${await world.says(customer, number, text)}"]`);
    await box.getByRole("button", { name: "Show all" }).click();
    const took = await page.evaluate(async (text) => {
      const { marked } = await import("./marks.js");
      const before = performance.now();
      marked(text);
      return performance.now() - before;
    }, text);
    assert.ok(took < 2000, `${took} ms for ${text.slice(0, 10)}…`);
  }
  // Nor is a link with a long row of what does not belong to its end.
  const tookOfLink = await page.evaluate(async () => {
    const { marked } = await import("./marks.js");
    const before = performance.now();
    marked(`https://x.co/${".,".repeat(30_000)}a`);
    return performance.now() - before;
  });
  assert.ok(tookOfLink < 1000, `${tookOfLink} ms for a link`);
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
  await page.getByRole("button", { name: "Theme: as the system" }).click();
  await log.locator("code").first().scrollIntoViewIfNeeded();
  await world.accessible("marks");
  await page.getByRole("button", { name: "Theme: light" }).click();
  await world.accessible("marks-dark");

  // A search among the conversations is in the address, and there again after another part was looked at.
  const search = page.getByRole("searchbox", { name: "Search conversations" });
  await search.fill("customer");
  const place = await page.evaluate(() => location.hash);
  assert.match(place, /\?q=customer$/);
  await page.getByRole("link", { name: "Connection" }).click();
  await page.getByText("Connected to WhatsApp.").waitFor();
  await page.getByRole("navigation", { name: "Parts of this tenant" }).getByRole("link", { name: "Conversations" }).click();
  await log.getByText("hoy a las").waitFor();
  assert.equal(await page.evaluate(() => location.hash), place);
  assert.equal(await search.inputValue(), "customer");
  await page.reload();
  await log.getByText("hoy a las").waitFor();
  assert.equal(await search.inputValue(), "customer");
}
