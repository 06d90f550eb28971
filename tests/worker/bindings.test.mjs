// An upstream that is another Worker, static assets behind the Worker, and a base path of one's own.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { assertProblem, AUDIENCE, startWorld } from "./support/world.mjs";

const SECOND = `
export default {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/redirect")) return new Response(null, { status: 302, headers: { location: url.searchParams.get("to") } });
    const body = await request.text();
    return Response.json(
      { method: request.method, url: request.url, path: url.pathname + url.search, headers: [...request.headers], body },
      { headers: { "set-cookie": "api=1", "access-control-allow-origin": "*", "x-second": "yes" } },
    );
  },
};`;

let world;
let folder;
let browser;
before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tokenkeep-assets-"));
  writeFileSync(path.join(folder, "index.html"), "<!doctype html><title>app</title>");
  writeFileSync(path.join(folder, "app.js"), "// the app");
  world = await startWorld({
    routes: () => [
      { path: "/svc/*", upstream: { service: "API" }, session: "required", resource: AUDIENCE },
      { path: "/bare/*", upstream: { service: "API" }, session: "anonymous", strip_prefix: true },
    ],
    worker: {
      services: { API: SECOND },
      assets: { directory: folder, binding: "ASSETS", run_worker_first: true, routerConfig: { has_user_worker: true, invoke_user_worker_ahead_of_assets: true } },
    },
  });
  browser = await world.loggedIn();
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a service binding gets the call with the token and without the cookie", async () => {
  const answer = await world.call(browser, "/svc/orders?x=%2F", { method: "POST", body: "hello", headers: { "Content-Type": "text/plain", "X-Forwarded-User": "root" } });
  assert.equal(answer.status, 200, answer.text);
  const { headers, ...seen } = answer.json;
  assert.equal(seen.method, "POST");
  assert.equal(seen.path, "/svc/orders?x=%2F");
  assert.equal(seen.body, "hello");
  const names = headers.map(([name]) => name);
  assert.equal(names.filter((name) => name === "authorization").length, 1);
  assert.ok(!names.includes("cookie") && !names.includes("x-forwarded-user"));
  assert.deepEqual(answer.all("set-cookie"), []);
  assert.equal(answer.header("access-control-allow-origin"), null);
  assert.equal(answer.header("x-second"), "yes");
});

test("a service binding needs a session like any route, and goes bare where it is anonymous", async () => {
  assertProblem(await world.call(world.browser(), "/svc/orders"), 401, "unauthenticated");
  const answer = await world.call(browser, "/bare/list");
  assert.equal(answer.json.path, "/list");
  assert.ok(!answer.json.headers.some(([name]) => name === "authorization" || name === "cookie"));
});

test("a redirect of a service binding isn't followed either", async () => {
  const answer = await world.call(browser, "/svc/redirect?to=/svc/orders");
  assert.equal(answer.status, 302);
  assert.equal(answer.header("location"), "/svc/orders");
  assertProblem(await world.call(browser, "/svc/redirect?to=/secret"), 502, "upstream_redirect_refused");
});

test("what is not ours goes to the static files", async () => {
  const page = await browser.navigate(`${world.origin}/`, { from: null });
  assert.equal(page.status, 200);
  assert.match(page.text, /<title>app/);
  assert.match((await world.raw({ path: "/app.js" })).text, /the app/);
});
