// A configuration that is wrong fails closed: the visitor learns nothing, the log everything.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";

import { until } from "./support/wait.mjs";
import { freshSecrets, startWorker } from "./support/worker.mjs";
import { assertProblem } from "./support/world.mjs";

const running = [];
after(() => Promise.all(running.map((worker) => worker.stop())));

const good = (origin) => ({
  origin,
  provider: { issuer: "http://127.0.0.1:1", client_id: "c" },
  dangerously_allow_loopback_http: true,
  routes: [{ path: "/api/*", upstream: { url: "http://127.0.0.1:2" }, session: "required" }],
});

async function run(options) {
  const worker = await startWorker({ secrets: freshSecrets(), bare: true, ...options });
  running.push(worker);
  const { send } = await import("./support/raw.mjs");
  return { worker, ask: (path, init = {}) => send(worker.origin, { path, ...init }) };
}

test("a good configuration serves", async () => {
  const { ask } = await run({ tokenkeep: good });
  assert.equal((await ask("/auth/health")).status, 200);
});

test("with faults every request gets 503, whatever it asks; the log names each key at once", async () => {
  const typo = "hunter2-in-the-wrong-place";
  const { worker, ask } = await run({
    tokenkeep: (origin) => ({
      ...good(origin),
      provider: { issuer: "http://id.example.com", client_id: "", client_authh: "x", client_secret: typo },
      session: { idle_minutes: -1, cache_seconds: 61 },
      routes: [{ path: "api", upstream: { url: "ftp://x" } }, { path: "/b/*", upstream: { service: "MISSING" } }],
    }),
  });
  for (const [path, headers] of [["/", {}], ["/auth/session", {}], ["/auth/login", { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }], ["/api/x", { Cookie: `tokenkeep-${worker.port}=x` }], ["/auth/callback?code=a&state=b", {}], ["/auth/health", {}]]) {
    const answer = await ask(path, { headers });
    const problem = assertProblem(answer, 503, "config_invalid");
    if (problem) assert.doesNotMatch(JSON.stringify(problem), /issuer|provider|client_|routes|idle|MISSING|ftp/);
    assert.deepEqual(answer.all("set-cookie"), []);
    assert.ok(!answer.text.includes(typo));
  }
  const event = await until(() => worker.audit.find((line) => line.event === "config_invalid"), "the faults in the log");
  const faults = event.faults.join("\n");
  for (const key of ["provider.issuer", "provider.client_id", "provider.client_authh", "provider.client_secret", "session.idle_minutes", "session.cache_seconds", "routes[0].path", "routes[0].upstream", "routes[1].upstream"]) {
    assert.ok(faults.includes(key), `${key} is missing in:\n${faults}`);
  }
  assert.ok(!worker.logs.join("\n").includes(typo), "a secret in the wrong place isn't logged");
});

test("nothing configured at all is 503 too, and names what is missing", async () => {
  const { worker, ask } = await run({ secrets: {} });
  assertProblem(await ask("/api/x"), 503, "config_invalid");
  const event = await until(() => worker.audit.find((line) => line.event === "config_invalid"), "the log");
  for (const key of ["TOKENKEEP", "SESSION_KEYS", "NAME_KEY"]) assert.ok(event.faults.some((fault) => fault.includes(key)), key);
});

// CVE-2026-34236: a key that is too short must not serve.
test("secrets that are missing, short or doubled are refused and never shown", async () => {
  const short = randomBytes(16).toString("base64url");
  const key = randomBytes(32).toString("base64url");
  for (const [name, secrets] of Object.entries({
    "a short session key": { SESSION_KEYS: `k1:${short}` },
    "a session key without its kid": { SESSION_KEYS: key },
    "one kid twice": { SESSION_KEYS: `k1:${key},k1:${randomBytes(32).toString("base64url")}` },
    "no session key": { SESSION_KEYS: "" },
    "a short name key": { NAME_KEY: short },
    "no client secret": { CLIENT_SECRET: "" },
    "a client secret with a line break": { CLIENT_SECRET: "abcdefgh\n" },
  })) {
    const all = freshSecrets(secrets);
    const { worker, ask } = await run({ tokenkeep: good, secrets: all });
    assertProblem(await ask("/auth/session"), 503, "config_invalid");
    await until(() => worker.audit.some((line) => line.event === "config_invalid"), name);
    const log = worker.logs.join("\n");
    for (const value of [...Object.values(all), short, key]) if (value.trim().length > 6) assert.ok(!log.includes(value.trim()), `${name}: a secret is in the log`);
    await worker.stop();
    running.splice(running.indexOf(worker), 1);
  }
});

test("the flag that keeps fetch public is demanded", async () => {
  const { worker, ask } = await run({ tokenkeep: good, flags: [] });
  assertProblem(await ask("/auth/health"), 503, "config_invalid");
  await until(() => worker.logs.some((line) => line.includes("global_fetch_strictly_public")), "the flag's name in the log");
});

test("the configuration may be a JSON string, and TOKENKEEP_OVERRIDES is merged into it", async () => {
  const { worker, ask } = await run({
    tokenkeep: (origin) => JSON.stringify({ ...good(origin), base_path: "/wrong" }),
    vars: { TOKENKEEP_OVERRIDES: JSON.stringify({ base_path: "/identity" }) },
  });
  assert.equal((await ask("/identity/health")).status, 200, worker.logs.join("\n"));
  assert.equal((await ask("/identity/session")).json.authenticated, false);
  assert.notEqual((await ask("/auth/health")).code, null);
});

test("TOKENKEEP_ROUTES holds the routes where a variable's size doesn't suffice", async () => {
  const { ask } = await run({
    tokenkeep: (origin) => {
      const { routes, ...rest } = good(origin);
      return rest;
    },
    vars: { TOKENKEEP_ROUTES: JSON.stringify(good("x").routes) },
  });
  assertProblem(await ask("/api/x", { headers: { "Sec-Fetch-Site": "same-origin" } }), 401, "unauthenticated");
});

test("a variable of ours that is misspelt serves nothing, and the log says what names there are", async () => {
  const { worker, ask } = await run({ tokenkeep: good, vars: { TOKENKEEP_OVERRIDE: JSON.stringify({ base_path: "/identity" }), OTHER: "x" } });
  assertProblem(await ask("/auth/health"), 503, "config_invalid");
  const { faults } = await until(() => worker.audit.find((line) => line.event === "config_invalid"), "the fault in the log");
  assert.equal(faults.length, 1);
  assert.match(faults[0], /^TOKENKEEP_OVERRIDE: .*TOKENKEEP_OVERRIDES/);
});

// CVE-2026-73421: a provider that can't be asked never means "logged in".
test("a provider that isn't there: login ends on a page that says so, the rest goes on", async () => {
  const { ask } = await run({ tokenkeep: good });
  const answer = await ask("/auth/login", { headers: { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" } });
  assertProblem(answer, 503, "provider_unavailable");
  assert.match(answer.header("content-type"), /^text\/html/);
  assert.equal((await ask("/auth/session")).json.authenticated, false);
});
