// Plays one scene in a real Chromium: node run.mjs <scene>. What the world is comes in the environment as JSON (`WORLD`); JSON lines on stdout
// say how it goes; what only the test can do (stopping the daemon) is asked for by a line and answered by one.

import { World } from "./world.mjs";

const scene = process.argv[2];
const world = await World.open(JSON.parse(process.env.WORLD));
try {
  const { default: play } = await import(`./scenes/${scene}.mjs`);
  await play(world);
  await world.assertClean();
  world.say({ event: "done" });
} catch (error) {
  const picture = await world.picture(`${scene}-failed`).catch(() => null);
  world.say({ event: "failed", error: error.stack, picture, page: await world.outline() });
} finally {
  await world.close();
}
