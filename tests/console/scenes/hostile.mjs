// What customers write and call themselves stays text, whatever it is.

import { strict as assert } from "node:assert";

const MARKUP = `<img src=x onerror="globalThis.broken=1"><script>globalThis.broken=2</script><svg onload=globalThis.broken=3>`;
const STEERED = "\u202egnp.exe\u202c \u2066\u200f(ocho)\u2069";

export default async function hostile(world) {
  const { page } = world;
  const number = await world.paired("trattoria", MARKUP);
  const customer = await world.customer();
  const say = (what) => world.says(customer, number, what);
  await world.signIn();
  await page.getByRole("row", { name: "trattoria" }).getByText(MARKUP).waitFor();
  await page.getByRole("link", { name: "trattoria" }).click();
  await say({ kind: "text", text: MARKUP });
  await page.getByRole("list", { name: "Conversations" }).getByText(MARKUP).waitFor();
  await page.getByRole("list", { name: "Conversations" }).getByRole("link").click();
  const log = page.locator(".messages");
  const message = (id) => log.locator(`[data-id="${id}"]`);
  await log.getByText(MARKUP).waitFor();

  // Directions: a text keeps its own, a name on one line has none.
  const steered = await say({ kind: "text", text: `${STEERED}\nsecond line` });
  await message(steered).getByText("second line").waitFor();
  const box = message(steered).locator(".written");
  assert.equal(await box.evaluate((node) => getComputedStyle(node).unicodeBidi), "isolate");
  const file = await say({ kind: "document", data: "AAAA", file_name: "invoice\u202efdp.exe", mimetype: MARKUP });
  assert.equal(await message(file).locator("strong").innerText(), "invoice fdp.exe");

  // Long ones are folded, and are all there.
  const long = await say({ kind: "text", text: `${"abcdefghi ".repeat(999)}${"x".repeat(10)}` });
  await message(long).getByRole("button", { name: "Show all 10000 characters" }).click();
  assert.equal((await message(long).locator(".written").innerText()).replace(/\s+$/, "").length, 10_000);
  const unbroken = await say({ kind: "text", text: "W".repeat(1400) });
  await message(unbroken).waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the page");

  // Links: only to the web, to where they say, and without a way back.
  const links = await say({ kind: "text", text: "javascript:globalThis.broken=4 data:text/html,x https://example.com/a?b=1. http://user:pw@evil.test/\u202ekcab file:///etc/passwd https://" });
  await message(links).waitFor();
  const found = await message(links).getByRole("link").all();
  const seen = await Promise.all(found.map(async (link) => [await link.getAttribute("href"), await link.innerText(), await link.getAttribute("rel")]));
  const rel = "noopener noreferrer nofollow";
  assert.deepEqual(seen, [["https://example.com/a?b=1", "https://example.com/a?b=1", rel], ["http://user:pw@evil.test/", "http://user:pw@evil.test/", rel]]);

  // Every other field that a customer fills in.
  const place = await say({ kind: "location", latitude: 1, longitude: 2, name: MARKUP, address: STEERED });
  await message(place).getByText(MARKUP).waitFor();
  const card = await say({ kind: "contact", name: MARKUP, vcard: `BEGIN:VCARD\nTEL:javascript:alert(1)\nEMAIL;x=${MARKUP}:${MARKUP}\nEND:VCARD` });
  await message(card).locator("strong").getByText(MARKUP).waitFor();
  assert.equal(await message(card).getByRole("link").count(), 0);
  const poll = await say({ kind: "poll", name: MARKUP, options: [MARKUP, "__proto__", "constructor"] });
  await message(poll).locator("strong").getByText(MARKUP).waitFor();
  await say({ kind: "vote", of: poll, options: ["__proto__"] });
  await message(poll).locator('li:has-text("__proto__") [data-votes="1"]').waitFor();
  await say({ kind: "reaction", of: poll, emoji: `${MARKUP}${"🇨🇴".repeat(50)}` });
  await message(poll).getByRole("list", { name: "Reactions" }).waitFor();
  const order = await say({ kind: "order", id: "1", title: MARKUP, items: -2147483648, total: -9223372036854775, currency: MARKUP, token: "t" });
  await message(order).getByText(MARKUP).first().waitFor();
  const reply = await say({ kind: "reply", of: poll, say: { kind: "text", text: "\u0000\u0007 half" } });
  await message(reply).getByText("half").waitFor();
  const strange = await say({ kind: "image", data: "AAAA", caption: MARKUP, mimetype: "text/html", thumbnail: "PHN2Zy8+" });
  await message(strange).getByText(MARKUP).waitFor();

  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
  assert.equal(await page.locator("main script, main svg:not(.icon), .messages img:not([src^='blob:'])").count(), 0);
  await world.picture("hostile");

  // An address that names what is not there, or is no address at all.
  world.rough = true;
  await world.go("#/t/%E0%A4%A/talk/%00");
  await page.locator(".part").getByRole("link", { name: "All tenants" }).waitFor();
  await world.go(`#/t/${encodeURIComponent(MARKUP)}`);
  await page.getByRole("heading", { name: MARKUP }).waitFor();
  await world.go("#/t/nobody");
  await page.getByText("There is no such tenant.").waitFor();
  await world.go(`#/t/trattoria/talk/${encodeURIComponent("x/../../keys")}`);
  await page.locator(".thread-top").getByRole("button", { name: "Try again" }).or(page.getByText("No messages yet.")).waitFor();
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);

  // The policy is there, and it bites: what a hole in the page would let in does not run.
  const answer = await fetch(`${world.url}/console/`);
  const policy = answer.headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) assert.ok(policy.includes(part), part);
  assert.ok(!/unsafe|\*|data:/.test(policy), policy);
  const before = world.troubles.length;
  const outcome = await page.evaluate(async () => {
    const tried = {};
    try { document.body.innerHTML += "<b>x</b>"; tried.html = "written"; } catch { tried.html = "refused"; }
    const script = document.createElement("img");
    try { script.setAttribute("onerror", "globalThis.broken=5"); tried.handler = "written"; } catch { tried.handler = "refused"; }
    script.src = "https://elsewhere.test/x.png";
    document.body.append(script);
    tried.fetch = await fetch("https://elsewhere.test/").then(() => "answered", () => "refused");
    await new Promise((resolve) => { script.onload = resolve; script.addEventListener("error", resolve); });
    return { ...tried, broken: globalThis.broken };
  });
  assert.deepEqual(outcome, { html: "refused", handler: "refused", fetch: "refused", broken: undefined });
  const told = world.troubles.splice(before);
  for (const part of ["img-src", "connect-src", "require-trusted-types-for"]) {
    assert.ok(told.some((trouble) => trouble.includes(`policy: ${part}`)), `${part} in ${told.join("\n")}`);
  }
}
