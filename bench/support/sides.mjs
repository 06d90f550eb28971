// What is measured beside what, and how each side comes to its session.

import { randomBytes } from "node:crypto";
import path from "node:path";

import { build } from "esbuild";

import { modules } from "../../tests/worker/support/worker.mjs";
import { freePort, send } from "../../tests/worker/support/raw.mjs";
import { AUDIENCE, startWorld } from "../../tests/worker/support/world.mjs";
import { Workerd } from "./workerd.mjs";

const HERE = new URL("../", import.meta.url).pathname;
/** Where everything that the bench writes goes. */
export const TARGET = path.join(HERE, "..", "target", "bench");

/** Sides that are programs, by the letter of the report. */
export const PROGRAMS = {
  a: { name: "bare JavaScript pass-through", peer: "pass_through" },
  b: { name: "JavaScript, session in memory", peer: "memory" },
  c: { name: "JavaScript, session in its object (RPC)", peer: "object", classes: { SESSIONS: "SessionObject" } },
  d: { name: "JavaScript, sealed cookie (jose)", peer: "sealed" },
  e: { name: "Tokenkeep, warm", settings: { cache_seconds: 60 } },
  f: { name: "Tokenkeep, cold", settings: { cache_seconds: 0 } },
  g: { name: "Tokenkeep, calls that end there", settings: { cache_seconds: 60 } },
  s: { name: 'Tokenkeep, `connections = "pass"`', settings: {}, route: { connections: "pass" } },
  t: { name: 'Tokenkeep, `connections = "bound"`', settings: {}, route: { connections: "bound" } },
};

/** What the report calls its rows. */
export const NAMES = {
  ...Object.fromEntries(Object.entries(PROGRAMS).map(([letter, { name }]) => [letter, name])),
  g1: "Tokenkeep, no session: 401",
  g2: "Tokenkeep, from another site: 403",
};

/** The program of a side, ready to be asked with a session; `more` goes to its workerd. */
export async function startSide(letter, upstream, more = {}) {
  const own = { ...PROGRAMS[letter], more };
  return own.peer === undefined ? startTokenkeep(letter, own, upstream) : startPeer(letter, own, upstream);
}

async function startPeer(letter, { peer, classes, more }, upstream) {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const bindings = { ORIGIN: origin, UPSTREAM: upstream.url, COOKIE: `tokenkeep-${port}`, ROOT_KEY: randomBytes(32).toString("base64url") };
  const workerd = new Workerd(path.join(TARGET, letter), port, { modules: { "main.mjs": await bundled(peer) }, bindings, classes, ...more });
  await workerd.start();
  return { letter, workerd, port, cookies: letter === "a" ? [[`tokenkeep-${port}`, "x".repeat(64)]] : await handIn(origin, port), stop: () => workerd.stop() };
}

/** Gives a peer its session, as a callback would. Its cookie may come in pieces. */
async function handIn(origin, port) {
  const now = Date.now();
  const session = { ...tokens(), issued: now, expires: now + 7_200_000, deadline: now + 86_400_000 };
  const answer = await send(origin, { method: "POST", path: "/auth/callback", headers: { "Content-Type": "application/json" }, body: JSON.stringify(session) });
  if (answer.status !== 200) throw new Error(`no session: ${answer.status} ${answer.text}`);
  const pieces = answer.text.match(/.{1,3500}/g);
  return pieces.map((piece, at) => [pieces.length === 1 ? `tokenkeep-${port}` : `tokenkeep-${port}.${at}`, piece]);
}

/** 3 KB in all. The access token is as long as the real provider's, which Tokenkeep's calls carry. */
function tokens() {
  const token = (length) => `eyJ${"aZ3-x_9Q".repeat(length / 8)}`;
  return { access_token: token(424), id_token: token(1_440), refresh_token: token(1_136) };
}

/** A peer's one module. */
async function bundled(peer) {
  const { outputFiles } = await build({
    entryPoints: [path.join(HERE, "peers", `${peer}.mjs`)],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    external: ["cloudflare:workers"],
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
  });
  return outputFiles[0].text;
}

/** The built Worker as it is, with a session that came of a login at a real provider. */
async function startTokenkeep(letter, { settings, route, more }, upstream) {
  const world = await startWorld({
    provider: { accessTokenTtl: 7_200, idTokenTtl: 86_400 },
    routes: () => [{ path: "/api/*", upstream: { url: upstream.url }, strip_prefix: true, session: "required", resource: AUDIENCE, ...route }],
    settings: { session: { idle_minutes: 1_440, absolute_hours: 24, ...settings } },
    worker: { kind: Built, folder: path.join(TARGET, letter), more },
  });
  const browser = await world.loggedIn();
  const { name, value } = browser.sessionCookie(world.origin);
  const { workerd, port } = world.worker;
  return { letter, workerd, port, cookies: [[name, value]], stop: () => world.stop() };
}

/** What `startWorld` takes for a Worker. */
class Built {
  constructor(options, port) {
    this.options = options;
    this.port = port;
    this.origin = `http://localhost:${port}`;
  }

  async start() {
    const { folder, more, tokenkeep, secrets } = this.options;
    this.workerd = new Workerd(folder, this.port, { ...builtProgram({ TOKENKEEP: tokenkeep(this.origin), ...secrets }), ...more });
    await this.workerd.start();
  }

  stop() {
    return this.workerd?.stop();
  }
}

function builtProgram(bindings) {
  const parts = Object.fromEntries(modules(true).map(({ path: name, contents }) => [name, contents]));
  return { modules: parts, bindings, classes: { SESSIONS: "SessionObject", SUBJECTS: "SubjectObject" } };
}
