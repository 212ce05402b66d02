// usage: node build.mjs WIT GUEST OUT, with the toolchain in the current folder.

import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [wit, guest, out] = process.argv.slice(2);
const { component } = await componentize(await readFile(guest, "utf8"), {
  witPath: wit,
  worldName: "framegate:media/pipeline",
  // A pipeline has no network: an import that nobody gives would keep it from loading.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(out, component);
