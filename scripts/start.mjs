// `npm start`: sets up what is missing, builds if the sources are newer, and starts four things:
// the provider, the API, the page, and Tokenkeep before it under `wrangler dev`. Ctrl-C stops all.
//
// PORT, PROVIDER_PORT and API_PORT move them.

import { spawn } from "node:child_process";
import net from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { underNewNode } from "./node22.mjs";
import { setup } from "./setup.mjs";
import { began, giveUp, isBuilt, root, run, seconds, step, Wanted } from "./steps.mjs";

const DEFAULTS = { PORT: 8787, PROVIDER_PORT: 9000, API_PORT: 9100 };
const WHO = { PORT: "the page and Tokenkeep", PROVIDER_PORT: "the provider", API_PORT: "the API" };

async function main() {
  const ports = await freePorts();
  await setup();
  await underNewNode(fileURLToPath(import.meta.url));
  if (!isBuilt()) await step("build of the Worker (release)", () => run(process.execPath, ["scripts/build.mjs"]));

  const stops = [];
  const stop = stopper(stops);
  await step("provider, API and Tokenkeep", () => bringUp(ports, stops, stop));
  welcome(ports);
}

/** All three ports, each free; the one that isn't is named before anything starts. */
async function freePorts() {
  const ports = {};
  for (const [name, otherwise] of Object.entries(DEFAULTS)) {
    const port = Number(process.env[name] ?? otherwise);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Wanted(`${name}=${process.env[name]} is no port: a number from 1 to 65535 is.`);
    const twin = Object.keys(ports).find((other) => ports[other] === port);
    if (twin !== undefined) throw new Wanted(`${twin} and ${name} are both ${port}: each needs a port of its own.`);
    if (!(await isFree(port))) {
      throw new Wanted(`Port ${port}, for ${WHO[name]}, is in use. Stop what listens there, or choose another: ${name}=${port + 1} npm start`);
    }
    ports[name] = port;
  }
  return ports;
}

async function isFree(port) {
  for (const host of ["127.0.0.1", "::1"]) {
    const error = await new Promise((done) => {
      const server = net.createServer().once("error", done);
      server.listen(port, host, () => server.close(() => done(undefined)));
    });
    // A machine without IPv6 has no ::1; that isn't a port in use.
    if (error?.code === "EADDRINUSE" || error?.code === "EACCES") return false;
  }
  return true;
}

async function bringUp(ports, stops, stop) {
  const { secrets } = await import("../demo/secrets.mjs");
  const { demoClient, startProvider } = await import("../demo/provider.mjs");
  const { startApi } = await import("../demo/api.mjs");
  const { CLIENT_SECRET } = secrets();
  const origin = pageOrigin(ports);

  const provider = await startProvider({
    port: ports.PROVIDER_PORT,
    clients: [demoClient({ origin, clientSecret: CLIENT_SECRET })],
  });
  stops.push(() => provider.stop());
  const api = await startApi({ port: ports.API_PORT, issuer: provider.issuer, audience: `http://localhost:${ports.API_PORT}` });
  stops.push(() => api.stop());

  const worker = startWorker(ports);
  stops.unshift(worker.stop);
  worker.ended.then(() => stop(1, "wrangler ended by itself; everything else is stopped too"));
  await ready(origin, worker);
  worker.speak();
}

function startWorker(ports) {
  const args = [
    join(root, "node_modules", "wrangler", "bin", "wrangler.js"), "dev",
    "--config", join(root, "demo", "wrangler.toml"),
    "--port", String(ports.PORT), "--inspector-port", "0",
    "--persist-to", join(root, "demo", ".wrangler", "state"),
    "--show-interactive-dev-session=false",
  ];
  const moved = overrides(ports);
  if (moved !== undefined) args.push("--var", `TOKENKEEP_OVERRIDES:${JSON.stringify(moved)}`);
  const child = spawn(process.execPath, args, {
    cwd: join(root, "demo"),
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own: wrangler's workerd is stopped with it, whatever wrangler does.
    detached: true,
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_SEND_ERROR_REPORTS: "false",
      WRANGLER_HIDE_BANNER: "true", // with the banner goes the look for a newer version
      WRANGLER_LOG_PATH: join(root, "demo", ".wrangler", "logs"),
      CLOUDFLARE_CF_FETCH_ENABLED: "false", // nothing of the network is needed
      NO_COLOR: "1",
    },
  });
  let held = "";
  let silent = true;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => (silent ? (held += data) : process.stdout.write(data)));
  }
  const ended = new Promise((done) => child.once("exit", done).once("error", done));
  return {
    ended,
    /** What it said so far, for when it doesn't come up. */
    said: () => held,
    speak: () => (silent = false),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      silent = true;
      // First wrangler alone: it takes its runtime down itself, and would restart one that it misses.
      child.kill("SIGINT");
      await Promise.race([ended, pause(3_000)]);
      signalGroup(child.pid, "SIGKILL");
    },
  };
}

/** As a browser writes it: without the port if that is 80. */
const pageOrigin = ({ PORT }) => new URL(`http://localhost:${PORT}`).origin;

/** What the configuration must know when a port isn't the one in wrangler.toml. */
function overrides({ PORT, PROVIDER_PORT, API_PORT }) {
  if (PORT === DEFAULTS.PORT && PROVIDER_PORT === DEFAULTS.PROVIDER_PORT && API_PORT === DEFAULTS.API_PORT) return undefined;
  const api = `http://localhost:${API_PORT}`;
  return {
    origin: [pageOrigin({ PORT })],
    provider: { issuer: `http://localhost:${PROVIDER_PORT}` },
    routes: [{ path: "/api/*", upstream: { url: api }, strip_prefix: true, session: "required", resource: api }],
  };
}

/** Waits for Tokenkeep's own word that it is up. */
async function ready(origin, worker) {
  const until = Date.now() + 60_000;
  let last = "no answer yet";
  while (Date.now() < until && worker.isRunning()) {
    try {
      const response = await fetch(`${origin}/auth/health`, { signal: AbortSignal.timeout(5_000) });
      if (response.ok) return;
      last = `${response.status} ${response.headers.get("tokenkeep-error") ?? ""}`;
      if (response.status === 503) break;
    } catch (error) {
      last = error.cause?.code ?? error.message;
    }
    await pause(150);
  }
  await pause(300);
  throw new Wanted(`Tokenkeep did not come up at ${origin} (${last}). wrangler said:\n${worker.said()}`);
}

/** Stops everything once, however often it is asked. */
function stopper(stops) {
  let stopping;
  const stop = (code, why) => {
    stopping ??= (async () => {
      if (why !== undefined) console.error(`\n✗ ${why}`);
      else console.log("\nstopping …");
      for (const each of stops) await each();
      process.exit(code);
    })();
    return stopping;
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop(0));
  process.once("uncaughtException", (error) => stop(1, error.stack));
  bail = (error) => stop(1, error instanceof Wanted ? error.message : error.stack);
  return stop;
}

function welcome({ PORT, PROVIDER_PORT, API_PORT }) {
  console.log(`
  http://localhost:${PORT}      (up after ${seconds(began)})

  Sign in as  alice / wonderland   or   bob / builder
  What to try: place an order; open the page in a second tab and sign out in one;
  look at "What a script on this page can steal"; sign in with a second browser and end
  one from the other; sign out at the provider itself, http://localhost:${PROVIDER_PORT}/logout.

  provider  http://localhost:${PROVIDER_PORT}
  API       http://localhost:${API_PORT}   (try it without Tokenkeep: it answers 401)

  Ctrl-C stops all of it. Below: Tokenkeep's log.
`);
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // Already gone.
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
/** How a failed start ends: replaced once there is something to stop. */
let bail = giveUp;
await main().catch((error) => bail(error));
