// A Chromium for the browser tests: the one that is installed, else Debian's, else what Playwright says.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { ask, root, run, step, Wanted } from "./steps.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const PLACES = [
  "/usr/bin/chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** The path of an installed Chromium, or undefined. `CHROMIUM` in the environment goes first. */
export function findBrowser() {
  const { CHROMIUM } = process.env;
  if (CHROMIUM && existsSync(CHROMIUM)) return CHROMIUM;
  for (const name of NAMES) {
    const path = ask("which", [name]);
    if (path) return path;
  }
  return [...PLACES, playwrights()].find((path) => path !== undefined && existsSync(path));
}

/** Where `npx playwright-core install chromium` puts its own. */
function playwrights() {
  try {
    return createRequire(join(root, "package.json"))("playwright-core").chromium.executablePath();
  } catch {
    return undefined;
  }
}

/** Installs one where that is a matter of one command. */
export async function browser() {
  const found = findBrowser();
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && ask("which", ["apt-get"])) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await step("Chromium (apt-get install chromium)", async () => {
      await run("apt-get", ["-q", "update"], { env });
      await run("apt-get", ["-q", "install", "-y", "--no-install-recommends", "chromium"], { env });
    });
    const installed = findBrowser();
    if (installed !== undefined) return installed;
  }
  throw new Wanted(
    "The browser tests need Chromium. On Debian: `sudo apt-get install chromium`. Elsewhere: `npx playwright-core install --with-deps chromium`.",
  );
}
