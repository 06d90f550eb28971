// The real `wrangler dev`, as a person starts it.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { freePort, send } from "./raw.mjs";
import { ROOT } from "./worker.mjs";

/**
 * @param {object} options
 * @param {string} options.folder where it runs; its `wrangler.toml` is used
 * @param {number} [options.port]
 * @param {Record<string, string>} [options.vars] given as `--var`
 * @param {Record<string, string>} [options.env]
 */
export async function startWrangler({ folder, port, vars = {}, env = {}, base = "/auth" }) {
  const own = port ?? (await freePort());
  const state = mkdtempSync(path.join(os.tmpdir(), "tokenkeep-wrangler-"));
  const child = spawn(
    process.execPath,
    [
      path.join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js"), "dev",
      "--port", String(own), "--inspector-port", "0", "--persist-to", path.join(state, "persist"), "--show-interactive-dev-session=false",
      ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    ],
    {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_SEND_ERROR_REPORTS: "false", WRANGLER_HIDE_BANNER: "true", WRANGLER_LOG_PATH: path.join(state, "logs"), CLOUDFLARE_CF_FETCH_ENABLED: "false", NO_COLOR: "1", CI: "1", ...env },
    },
  );
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { said += data; });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const origin = `http://localhost:${own}`;
  const server = {
    origin,
    port: own,
    get said() {
      return said;
    },
    async stop() {
      child.kill("SIGINT");
      await Promise.race([ended, sleep(3_000)]);
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // All gone.
      }
      child.stdout.destroy();
      child.stderr.destroy();
      rmSync(state, { recursive: true, force: true });
    },
  };
  const end = Date.now() + 90_000;
  let last = "no answer";
  while (Date.now() < end && child.exitCode === null) {
    try {
      const answer = await send(origin, { path: `${base}/health`, timeout: 5_000 });
      if (answer.status === 200 || answer.code !== null) {
        server.first = answer;
        return server;
      }
      last = String(answer.status);
    } catch (error) {
      last = error.message;
    }
    await sleep(150);
  }
  await server.stop();
  throw new Error(`wrangler dev did not come up at ${origin} (${last}):\n${said}`);
}
