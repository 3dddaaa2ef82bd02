// The kitchen's board: orders of customers who talk with the bot come by themselves, are moved on, paid, printed and cancelled; what another
// screen does is seen and said, and nothing is missed while the page is closed or its line cut.

import { strict as assert } from "node:assert";

const MENU = {
  items: [
    { id: "aji", name: "Ajiaco", price: 24_000, category: "Sopas" },
    { id: "lim", name: "Limonada natural", price: 7_000, category: "Bebidas" },
  ],
};
const SETTINGS = {
  name: "Trattoria", active: true, gatherMs: 0, askContactPhone: false, humanize: false, pacing: { enabled: false },
  paymentMethods: ["efectivo", "nequi"], prepayMethods: ["nequi"],
};

export default async function kitchen(world) {
  const { page } = world;
  const line = await world.line();
  const number = await world.paired("trattoria");
  const bot = async (method, route, body) => {
    const answer = await world.api(method, `/api/trattoria/bot/${route}`, body);
    assert.equal(answer.status, 200, `${method} ${route}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  await bot("PUT", "menu", MENU);
  await bot("PUT", "settings", SETTINGS);
  const orders = async () => (await bot("GET", "orders")).orders;
  const talk = async (customer, text) => {
    const before = (await world.inbox(customer)).length;
    await world.says(customer, number, text);
    await world.until(`an answer to ${text}`, async () => (await world.inbox(customer)).length > before);
  };
  /** A customer orders; gives the order. */
  const order = async (customer, ...texts) => {
    for (const text of [...texts, "sí"]) await talk(customer, text);
    return world.until("the order", async () => (await orders()).find(({ telefono }) => telefono === customer));
  };
  const [ana, beto, carla, dario] = [await world.customer(), await world.customer(), await world.customer(), await world.customer()];
  const first = await order(ana, "quiero dos ajiacos sin crema y una limonada", "eso es todo", "paso a recogerlo", "en efectivo");

  // What was ordered while the page was closed is there, and is no news.
  await world.signIn();
  await world.go("#/t/trattoria/orders");
  const column = (stage) => page.locator(`[data-column="${stage}"]`);
  const card = (order, stage) => column(stage).locator(`[data-order="${order.id}"]`);
  await card(first, "pendiente").waitFor();
  const text = await card(first, "pendiente").innerText();
  for (const part of [`#${first.id}`, "2 × Ajiaco", "1 × Limonada natural", "sin crema", "Is picked up here", "$ 55,000", "Cash", "Paid on delivery"]) assert.ok(text.includes(part), `${part} in ${text}`);
  assert.equal(await page.locator("[data-new]").count(), 0);
  const title = (wanted) => world.until(`the title ${wanted}`, async () => (await page.title()).startsWith(wanted));
  await title("(1) ");

  // The bell is silent until somebody wants it.
  const bell = page.getByRole("switch", { name: "Sound for new orders" });
  assert.equal(await bell.getAttribute("aria-checked"), "false");
  await bell.click();
  assert.equal(await bell.getAttribute("aria-checked"), "true");

  // A new one comes by itself, marked, and waits for its payment.
  const second = await order(beto, "una limonada", "eso es todo", "a domicilio", "Calle 10 # 5-20", "nequi");
  await card(second, "pendiente").locator("[data-new]").waitFor();
  await card(second, "pendiente").getByText("Waits for its payment").waitFor();
  await card(second, "pendiente").getByText("Calle 10 # 5-20").waitFor();
  await page.getByText(`New order #${second.id}`).waitFor();
  await title("(2) ");
  await world.accessible("kitchen");

  // It is paid: said twice before it counts, and seen by whoever touches it.
  await card(second, "pendiente").getByRole("button", { name: `More for order #${second.id}` }).click();
  await page.getByRole("button", { name: "It is paid" }).click();
  const sure = page.getByRole("dialog", { name: `Is order #${second.id} paid?` });
  assert.ok(await sure.getByRole("button", { name: "No, leave it" }).evaluate((button) => button === document.activeElement));
  await world.accessible("kitchen-paid");
  await sure.getByRole("button", { name: "Yes, it is paid" }).click();
  await card(second, "pendiente").getByText("Paid", { exact: true }).waitFor();
  assert.equal((await orders()).find(({ id }) => id === second.id).paymentStatus, "PAID");
  assert.equal(await card(second, "pendiente").locator("[data-new]").count(), 0, "what was touched is new no more, however often it is drawn");

  // The next step, by keyboard: the card keeps the focus in its new column, and the customer is told.
  const heard = (await world.inbox(ana)).length;
  await card(first, "pendiente").getByRole("button", { name: "Start cooking" }).focus();
  await page.keyboard.press("Enter");
  await card(first, "cocinando").waitFor();
  await title("(1) ");
  await world.until("the focus", () => card(first, "cocinando").getByRole("button", { name: "It is ready" }).evaluate((button) => button === document.activeElement));
  await world.until("news for the customer", async () => (await world.inbox(ana)).length > heard);

  // Another screen's step is seen, and said.
  await bot("POST", `orders/${second.id}/stage`, { stage: "cocinando" });
  await card(second, "cocinando").waitFor();
  await page.getByText(`Order #${second.id} is now in “Cooking”`).waitFor();
  await title("trattoria");

  // The line is cut: that is said. Another screen is faster, and that is said too.
  await line.cut();
  const broken = page.getByText(/^No connection since/);
  await broken.waitFor();
  const since = await broken.elementHandle();
  await bot("POST", `orders/${first.id}/stage`, { stage: "listo" });
  await card(first, "cocinando").getByRole("button", { name: "It is ready" }).click();
  await page.getByText(`Somebody was faster: order #${first.id} is already in “Ready”.`).waitFor();
  await card(first, "listo").waitFor();
  // What comes meanwhile is there when the line is: one bell and one toast for all of it.
  const third = await order(carla, "un ajiaco", "eso es todo", "paso a recogerlo", "en efectivo");
  const another = await order(dario, "un ajiaco", "eso es todo", "paso a recogerlo", "en efectivo");
  assert.equal(await card(third, "pendiente").count(), 0);
  assert.ok(await since.evaluate((note) => note.isConnected), "it broke once, however often it is dialled");
  await page.evaluate(() => {
    window.rings = 0;
    window.OscillatorNode = class extends OscillatorNode {
      constructor(...what) {
        super(...what);
        window.rings += 0.5;
      }
    };
  });
  line.mend();
  await page.locator(".toast").getByText("2 new orders.").waitFor();
  for (const order of [third, another]) await card(order, "pendiente").locator("[data-new]").waitFor();
  assert.equal(await page.evaluate(() => window.rings), 1);
  assert.equal(await page.locator(".toast").getByText(/^New order/).count(), 0);
  await broken.waitFor({ state: "detached" });

  // On paper: the daemon's text, as text.
  await card(third, "pendiente").getByRole("button", { name: `Print order #${third.id}` }).click();
  const paper = page.getByRole("dialog", { name: `Order #${third.id} on paper` });
  await paper.getByText("1 x Ajiaco").waitFor();
  await world.accessible("kitchen-paper");
  await page.evaluate(() => { window.print = () => { window.printed = document.querySelector(".printing .paper").textContent; dispatchEvent(new Event("afterprint")); }; });
  await paper.getByRole("button", { name: "Print", exact: true }).click();
  assert.match(await page.evaluate(() => window.printed), /Pedido #.*\n[^]*1 x Ajiaco/);
  assert.equal(await page.locator(".paper").count(), 0);
  await page.keyboard.press("Escape");

  // Somebody else cancels what may be on the stove: that stays on the screen until it has been read.
  await bot("POST", `orders/${second.id}/stage`, { stage: "cancelado" });
  const alarm = page.getByRole("alert").filter({ hasText: `Order #${second.id}` });
  await alarm.getByText("was cancelled. Do not cook it.").waitFor();
  await world.accessible("kitchen-cancelled");
  // The line breaks as well: neither notice hides the other one, however far down one is.
  await line.cut();
  await broken.waitFor();
  await page.setViewportSize({ width: 360, height: 600 });
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  const [one, other] = [await alarm.boundingBox(), await page.locator(".order-line .note").boundingBox()];
  assert.ok(one.y >= other.y + other.height || other.y >= one.y + one.height, JSON.stringify([one, other]));
  assert.ok([one, other].every(({ y, height }) => y >= 0 && y + height <= 600), JSON.stringify([one, other]));
  await world.picture("kitchen-notices");
  await page.setViewportSize({ width: 1280, height: 800 });
  line.mend();
  await broken.waitFor({ state: "detached" });
  await alarm.getByRole("button", { name: "Understood" }).click();
  // We cancel one ourselves, and deliver one.
  await card(third, "pendiente").getByRole("button", { name: `More for order #${third.id}` }).click();
  await page.getByRole("button", { name: "Cancel the order" }).click();
  await page.getByRole("button", { name: "Yes, cancel it" }).click();
  await card(first, "listo").getByRole("button", { name: "Delivered" }).click();
  await bot("POST", `orders/${another.id}/stage`, { stage: "cancelado" });
  await page.getByRole("alert").filter({ hasText: `Order #${another.id}` }).getByRole("button", { name: "Understood" }).click();
  await page.getByText("Finished today: 4").click();
  const over = page.locator(".order-finished");
  await over.locator(`[data-order="${first.id}"][data-stage="entregado"]`).waitFor();
  await over.locator(`[data-order="${third.id}"][data-stage="cancelado"]`).waitFor();
  assert.deepEqual((await orders()).map(({ estado }) => estado).sort(), ["cancelado", "cancelado", "cancelado", "entregado"]);

  // On a phone, in the dark, in Spanish.
  const fourth = await order(carla, "tres ajiacos y dos limonadas", "eso es todo", "a domicilio", "Carrera 7 # 45-10 apto 301", "en efectivo");
  await page.getByRole("button", { name: "Español" }).click();
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.setViewportSize({ width: 360, height: 740 });
  await card(fourth, "pendiente").getByRole("button", { name: "Empezar a cocinar" }).waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the phone");
  const sizes = await card(fourth, "pendiente").locator("button, .order-does a").evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).map(({ width, height }) => Math.min(width, height)));
  assert.ok(sizes.every((size) => size >= 44), `a wet finger hits them: ${sizes}`);
  await world.accessible("kitchen-phone-dark");

  // The card leads to the conversation.
  await card(fourth, "pendiente").getByRole("link", { name: `Conversación del pedido #${fourth.id}` }).click();
  await page.locator(".thread").getByText("tres ajiacos y dos limonadas").waitFor();
  await title("trattoria");
}
