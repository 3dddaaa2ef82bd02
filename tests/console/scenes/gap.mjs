// More came than the daemon keeps while the line was down: the page is told, and reads anew what there is.

import { strict as assert } from "node:assert";

export default async function gap(world) {
  const { page } = world;
  // Of the one who is looked at more than a page, of the others enough for the first events to be deleted.
  const MESSAGES = 60;
  const OTHERS = 8;
  const line = await world.line();
  const number = await world.paired("trattoria");
  const customer = await world.customer();
  await world.says(customer, number, "message 0");
  await world.signIn();
  await page.getByRole("link", { name: "trattoria" }).click();
  const chats = page.getByRole("list", { name: "Conversations" }).getByRole("link");
  await chats.click();
  const log = page.locator(".messages");
  await log.getByText("message 0", { exact: true }).waitFor();

  await line.cut();
  await page.getByText("The connection to the daemon is down.").waitFor();
  const write = async (from, count, text) => {
    for (let n = 1; n <= count; n += 1) await world.says(from, number, `${text} ${n}`);
  };
  await Promise.all(Array.from({ length: OTHERS }, async () => write(await world.customer(), 20, "noise")));
  await world.until("the noise", async () => {
    const { body } = await world.api("GET", "/api/baileys/conversations?tenantId=trattoria");
    return body.conversations.filter(({ lastMessage }) => lastMessage.text === "noise 20").length === OTHERS;
  });
  await write(customer, MESSAGES, "message");
  const kept = async () => {
    const { body } = await world.api("GET", `/api/baileys/messages?tenantId=trattoria&chatId=${customer}&limit=500`);
    return body.messages.map(({ text }) => text).reverse();
  };
  await world.until("the last message", async () => (await kept()).at(-1) === `message ${MESSAGES}`);
  assert.ok(!(await kept()).includes("message 0"), "nothing was deleted: there is no gap");
  line.mend();
  await log.getByText(`message ${MESSAGES}`, { exact: true }).waitFor();
  // What is shown is an unbroken row: not what was there before the gap beside what came after it.
  const numbers = (await log.locator(".written").allInnerTexts()).map((text) => Number(text.split(" ")[1]));
  assert.deepEqual(numbers, numbers.map((_, place) => numbers[0] + place));
  assert.equal(numbers.at(-1), MESSAGES);
  // And it goes on.
  await world.says(customer, number, "and one more");
  await log.getByText("and one more", { exact: true }).waitFor();

  // A daemon that was started anew knows when the last message came.
  await world.ask("stop");
  await world.ask("start");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tenants" }).click();
  const row = page.getByRole("row", { name: "trattoria" });
  await row.locator(".at time").first().waitFor();
}
