// What happens in other conversations while one of them is opened, with the line down: nothing of it is missed. A read that failed is done
// again where the button says so, and what is no message is not shown as one.

import { strict as assert } from "node:assert";

/** Of a chat: messages in it disappear after a day. */
const TIMER = { kind: "raw", message: "YgYQAyCAowU=" };

export default async function missed(world) {
  const { page } = world;
  const line = await world.line();
  const number = await world.paired("trattoria");
  const [ana, luz] = [await world.customer(), await world.customer()];
  await world.says(ana, number, "ana 0");
  await world.says(luz, number, "luz 0");
  await world.signIn();
  await page.getByRole("link", { name: "trattoria" }).click();
  const chats = page.getByRole("list", { name: "Conversations" }).getByRole("link");
  const log = page.locator(".messages");
  const down = page.getByText("The connection to the daemon is down.");
  await chats.filter({ hasText: "ana 0" }).waitFor();
  await chats.filter({ hasText: "luz 0" }).waitFor();
  const kept = async (text) => {
    const { body } = await world.api("GET", "/api/baileys/conversations?tenantId=trattoria");
    return body.conversations.some(({ lastMessage }) => lastMessage.text === text);
  };
  const says = async (customer, text) => {
    await world.says(customer, number, text);
    await world.until(text, () => kept(text));
  };

  // The newer one is read over HTTP, which works.
  await line.cut();
  await down.waitFor();
  await says(ana, "ana 1");
  await says(luz, "luz 1");
  await chats.filter({ hasText: "luz 0" }).click();
  await log.getByText("luz 1", { exact: true }).waitFor();
  line.mend();
  await down.waitFor({ state: "detached" });
  await chats.filter({ hasText: "ana 1" }).waitFor();
  await chats.filter({ hasText: "luz 1" }).waitFor();

  // The first read of a conversation fails, and a message comes before somebody tries again.
  let failures = 1;
  await page.route("**/api/baileys/messages?**", async (route) => {
    failures -= 1;
    if (failures >= 0) return route.fulfill({ status: 503, json: { code: "vault_down", title: "The vault does not answer" } });
    return route.continue();
  });
  await chats.filter({ hasText: "ana 1" }).click();
  const again = page.locator(".thread-top").getByRole("button", { name: "Try again" });
  await again.waitFor();
  await says(ana, "ana 2");
  await log.getByText("ana 2", { exact: true }).waitFor();
  await again.click();
  await log.getByText("ana 0", { exact: true }).waitFor();
  await again.waitFor({ state: "detached" });
  const texts = () => log.locator(".written").allInnerTexts();
  assert.deepEqual(await texts(), ["ana 0", "ana 1", "ana 2"]);

  // A mark.
  const bubbles = await log.locator("li:not(.day)").count();
  await world.says(ana, number, TIMER);
  await says(ana, "ana 3");
  await log.getByText("ana 3", { exact: true }).waitFor();
  assert.equal(await log.locator("li:not(.day)").count(), bubbles + 1, "a timer is no message");

  // Another tab was looked at meanwhile: who comes back has seen what is open.
  const hidden = (is) => page.evaluate((hides) => {
    Object.defineProperty(document, "hidden", { value: hides, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, is);
  await hidden(true);
  await says(ana, "ana 4");
  await chats.filter({ hasText: "ana 4" }).locator(".unseen").waitFor();
  await hidden(false);
  await chats.filter({ hasText: "ana 4" }).locator(".unseen").waitFor({ state: "detached" });

  // A number as people of the tenant's country write it; and one that nobody has.
  const dialog = page.getByRole("dialog", { name: "Write to a number" });
  const typed = async (text) => {
    await page.getByRole("button", { name: "Write to a number" }).click();
    await dialog.getByLabel("Phone number").fill(text);
    await dialog.getByRole("button", { name: "Open" }).click();
  };
  await typed(luz.replace(/^57/, "").replace(/(...)(...)(.*)/, "$1 $2-$3"));
  await dialog.waitFor({ state: "detached" });
  await world.until("the conversation", async () => (await page.evaluate(() => decodeURIComponent(location.hash))).endsWith(`/${luz}@s.whatsapp.net`));
  await log.getByText("luz 1", { exact: true }).waitFor();
  await typed("300 000 0000");
  await dialog.getByText("Nobody on WhatsApp has this number.").waitFor();
  await page.keyboard.press("Escape");
}
