// A receiver's check of what it got, by the real standardwebhooks, and of WAHA's signature by Node's own crypto.
// Reads JSON lines {key, headers, body}, and says of each whether it is genuine.
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

const genuine = (check) => {
  try {
    return check();
  } catch {
    return false;
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  const { key, headers, body } = JSON.parse(line);
  const format = key.startsWith("whsec_") ? undefined : { format: "raw" };
  const standard = genuine(() => new Webhook(key, format).verify(body, headers).id === headers["webhook-id"]);
  const hmac = createHmac(headers["x-webhook-hmac-algorithm"], key).update(body).digest("hex");
  process.stdout.write(JSON.stringify({ standard, waha: hmac === headers["x-webhook-hmac"] }) + "\n");
}
