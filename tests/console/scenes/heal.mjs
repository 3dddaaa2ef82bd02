// The line breaks, the daemon dies: the page heals by itself, and nothing is missing or doubled.

import { strict as assert } from "node:assert";

export default async function heal(world) {
  const { page } = world;
  const line = await world.line();
  const number = await world.paired("trattoria");
  const customer = await world.customer();
  await world.says(customer, number, "message 0");
  await world.signIn();
  await page.evaluate(() => { globalThis.sameDocument = true; });
  await page.getByRole("link", { name: "trattoria" }).click();
  await page.getByRole("list", { name: "Conversations" }).getByRole("link").click();
  const log = page.locator(".messages");
  const texts = () => log.locator(".written").allInnerTexts();
  await log.getByText("message 0", { exact: true }).waitFor();
  const down = page.getByText("The connection to the daemon is down.");
  const box = page.getByLabel("Write a message").and(page.locator("textarea"));
  const answer = async (text) => {
    await box.fill(text);
    await page.keyboard.press("Enter");
  };
  const expected = ["message 0"];

  // Cut, with messages meanwhile in both directions.
  await line.cut();
  await down.waitFor();
  await world.accessible("line-down");
  for (const n of [1, 2, 3]) {
    await world.says(customer, number, `message ${n}`);
    expected.push(`message ${n}`);
  }
  await answer("answer while cut");
  await world.until("the answer", async () => (await world.inbox(customer)).some(({ text }) => text === "answer while cut"));
  line.mend();
  await down.waitFor({ state: "detached" });
  await log.getByText("message 3", { exact: true }).waitFor();
  await log.locator(".own", { hasText: "answer while cut" }).locator('[data-status="delivered"]').waitFor();
  expected.push("answer while cut");
  assert.deepEqual((await texts()).sort(), [...expected].sort());

  // SIGKILL. What is written now is not sent, says so, and is sent once when it is tried again.
  await world.ask("stop");
  await down.waitFor();
  await answer("answer to nobody");
  const unsent = log.locator(".own", { hasText: "answer to nobody" });
  await unsent.getByText("Not sent.").waitFor();
  await world.accessible("unsent");
  await unsent.getByRole("button", { name: "Try again" }).click();
  await unsent.getByText("Not sent.").waitFor();
  for (const n of [4, 5]) {
    await world.says(customer, number, `message ${n}`);
    expected.push(`message ${n}`);
  }
  await world.ask("start");
  await down.waitFor({ state: "detached" });
  await log.getByText("message 5", { exact: true }).waitFor();
  await unsent.getByRole("button", { name: "Try again" }).click();
  await unsent.locator('[data-status="delivered"]').waitFor();
  expected.push("answer to nobody");
  assert.deepEqual((await texts()).sort(), [...expected].sort());

  // An answer whose acceptance is lost on the way is repeated under the same name, and is one message.
  let lost = 0;
  await page.route("**/api/sendText", async (route) => {
    lost += 1;
    if (lost > 1) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await line.cut();
  await answer("answer once");
  const once = log.locator(".own", { hasText: "answer once" });
  await once.getByRole("button", { name: "Try again" }).click();
  await once.locator('[data-status="accepted"], [data-status="sent"]').waitFor();
  line.mend();
  await once.locator('[data-status="delivered"]').waitFor();
  assert.equal(lost, 2);
  expected.push("answer once");
  assert.deepEqual((await texts()).sort(), [...expected].sort());
  const got = (await world.inbox(customer)).map(({ text }) => text);
  assert.deepEqual(got.sort(), ["answer once", "answer to nobody", "answer while cut"]);
  assert.equal(await page.evaluate(() => globalThis.sameDocument), true, "the page was not loaded anew");

  // In the order in which they were written, as a reader of the server finds them.
  const { body } = await world.api("GET", `/api/baileys/messages?tenantId=trattoria&chatId=${customer}`);
  const kept = body.messages.map(({ text }) => text).reverse();
  const written = (all) => all.filter((text) => text.startsWith("message"));
  assert.deepEqual(written(await texts()), written(kept));
}
