// What a user does: a wrangler.toml, a one-line module and a .dev.vars in a folder of one's own, and
// `wrangler dev` there. The provider is https with a private CA, which NODE_EXTRA_CA_CERTS makes known.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import tls from "node:tls";

import { startApi } from "../../demo/api.mjs";
import { demoClient, startProvider } from "../../demo/provider.mjs";
import { privateCa } from "./support/ca.mjs";
import { freePort } from "./support/raw.mjs";
import { BUILD, freshSecrets, ROOT } from "./support/worker.mjs";
import { startWrangler } from "./support/wrangler.mjs";
import { assertProblem, World } from "./support/world.mjs";

const CLIENT_ID = "own-folder";
const AUDIENCE = "https://orders.example";

const { ca, tls: certificate } = privateCa();
// The API of this process fetches the provider's keys too.
tls.setDefaultCACertificates([...tls.getCACertificates("default"), ca]);

let folder;
let provider;
let api;
const secrets = freshSecrets();
const ports = {};
const started = [];

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tokenkeep-own-"));
  writeFileSync(path.join(folder, "ca.pem"), ca);
  ports.own = await freePort();
  ports.example = await freePort();
  ports.kv = await freePort();
  const clients = Object.values(ports).map((port) => demoClient({ origin: `http://localhost:${port}`, clientId: `${CLIENT_ID}-${port}`, clientSecret: secrets.CLIENT_SECRET }));
  provider = await startProvider({ tls: certificate, clients });
  api = await startApi({ issuer: provider.issuer, audience: AUDIENCE });
});
after(async () => {
  for (const server of started) await server.stop();
  await Promise.all([provider?.stop(), api?.stop()]);
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function start(options) {
  const server = await startWrangler(options);
  started.push(server);
  const world = new World({ provider, api, secrets, ca, worker: { origin: server.origin } });
  return { server, world };
}

async function wholeRound(world, server) {
  const browser = world.browser();
  await world.login(browser, { returnTo: "/" }).catch((error) => {
    throw new Error(`${error.message}\n${server.said}`);
  });
  const answer = await world.call(browser, "/api/whoami");
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.subject, "usr_alice");
  assert.equal(answer.json.cookie, false);
  assert.equal((await world.session(browser)).authenticated, true);
  assert.equal((await world.logout(browser)).status, 200);
  assert.equal((await world.call(browser)).status, 401);
  // The path itself that `/api/*` is below of: the route's, not a file's.
  assertProblem(await world.call(browser, "/api"), 401, "unauthenticated");
}

/** What a file says about its route, without comments. */
const routeOf = (toml) => toml.split("[[vars.TOKENKEEP.routes]]")[1].split("\n").map((line) => line.split("#")[0].trim()).filter(Boolean);

test("a folder of one's own with three files is all it takes, with a private CA too", { timeout: 180_000 }, async () => {
  const { port } = { port: ports.own };
  writeFileSync(path.join(folder, "worker.mjs"), `export { default, SessionObject, SubjectObject } from ${JSON.stringify(path.join(BUILD, "tokenkeep.js"))};\n`);
  writeFileSync(path.join(folder, ".dev.vars"), Object.entries(secrets).map(([name, value]) => `${name}="${value}"\n`).join(""));
  writeFileSync(
    path.join(folder, "wrangler.toml"),
    `name = "own"
main = "worker.mjs"
compatibility_date = "2026-10-01"
compatibility_flags = ["global_fetch_strictly_public"]

[[durable_objects.bindings]]
name = "SESSIONS"
class_name = "SessionObject"

[[durable_objects.bindings]]
name = "SUBJECTS"
class_name = "SubjectObject"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["SessionObject", "SubjectObject"]

[vars.TOKENKEEP]
origin = ["http://localhost:${port}"]
dangerously_allow_loopback_http = true

[vars.TOKENKEEP.provider]
issuer = "${provider.issuer}"
client_id = "${CLIENT_ID}-${port}"
scopes = ["openid", "profile", "email", "offline_access"]

[[vars.TOKENKEEP.routes]]
path = "/api/*"
upstream = { url = "${api.url}" }
strip_prefix = true
resource = "${AUDIENCE}"
`,
  );
  assert.ok(provider.issuer.startsWith("https://"));
  const { server, world } = await start({ folder, port, env: { NODE_EXTRA_CA_CERTS: path.join(folder, "ca.pem") } });
  await wholeRound(world, server);
});

test("examples/static-assets starts as it is, with the values of one's own filled in", { timeout: 180_000 }, async () => {
  const port = ports.example;
  const overrides = {
    origin: [`http://localhost:${port}`],
    dangerously_allow_loopback_http: true,
    provider: { issuer: provider.issuer, client_id: `${CLIENT_ID}-${port}`, scopes: ["openid", "profile", "email", "offline_access"] },
    routes: [{ path: "/api/*", upstream: { url: api.url }, strip_prefix: true, session: "required", resource: AUDIENCE }],
  };
  const { server, world } = await start({
    folder: path.join(ROOT, "examples", "static-assets"),
    port,
    vars: { ...secrets, TOKENKEEP_OVERRIDES: JSON.stringify(overrides) },
    env: { NODE_EXTRA_CA_CERTS: path.join(folder, "ca.pem") },
  });
  const page = await world.browser().navigate(`${server.origin}/`, { from: null });
  assert.equal(page.status, 200);
  assert.match(page.header("content-type"), /^text\/html/);
  await wholeRound(world, server);
});

test("the file of docs/kv.md starts as it is, with the values of one's own filled in", { timeout: 180_000 }, async () => {
  const page = readFileSync(path.join(ROOT, "docs", "kv.md"), "utf8");
  const own = path.join(folder, "kv");
  mkdirSync(path.join(own, "public"), { recursive: true });
  writeFileSync(path.join(own, "public", "index.html"), "<!doctype html><title>app</title>");
  writeFileSync(path.join(own, "wrangler.toml"), /```toml\n(.*?)```/s.exec(page)[1]);
  const example = readFileSync(path.join(ROOT, "examples", "static-assets", "wrangler.toml"), "utf8");
  const missing = routeOf(example).filter((line) => line !== 'session = "required"' && !routeOf(/```toml\n(.*?)```/s.exec(page)[1]).includes(line));
  assert.deepEqual(missing, [], "its route is the example's, so that whoever changes the store changes nothing else");
  const [, module] = /echo '(export [^']*)' > worker\.mjs/.exec(page);
  writeFileSync(path.join(own, "worker.mjs"), module.replace("./tokenkeep.js", path.join(BUILD, "tokenkeep.js")));
  const overrides = {
    origin: [`http://localhost:${ports.kv}`],
    dangerously_allow_loopback_http: true,
    provider: { issuer: provider.issuer, client_id: `${CLIENT_ID}-${ports.kv}` },
    routes: [{ path: "/api/*", upstream: { url: api.url }, strip_prefix: true, resource: AUDIENCE }],
  };
  const { server, world } = await start({
    folder: own,
    port: ports.kv,
    vars: { ...secrets, TOKENKEEP_OVERRIDES: JSON.stringify(overrides) },
    env: { NODE_EXTRA_CA_CERTS: path.join(folder, "ca.pem") },
  });
  await wholeRound(world, server);
});

test("the example's own file is one that a user can deploy after filling in three values", () => {
  for (const file of [path.join(ROOT, "examples", "static-assets", "wrangler.toml"), path.join(ROOT, "wrangler.toml")]) {
    if (!existsSync(file)) {
      assert.ok(!file.includes("examples"), `${file} is missing`);
      continue;
    }
    const text = readFileSync(file, "utf8");
    for (const line of ["global_fetch_strictly_public", "invocation_logs = false", 'class_name = "SessionObject"', 'class_name = "SubjectObject"', "new_sqlite_classes"]) assert.ok(text.includes(line), `${file}: ${line}`);
    assert.doesNotMatch(text, /^\s*(CLIENT_SECRET|SESSION_KEYS|NAME_KEY)\s*=/m, "no secret in it");
    assert.doesNotMatch(text, /^\s*dangerously_allow_loopback_http\s*=\s*true/m);
  }
});
