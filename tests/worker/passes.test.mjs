// A call like one before it isn't decided anew: the entry keeps what was decided by its method and
// headers. Whatever it remembers, each call gets what it would have got the first time, and carries its own token.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startUpstream } from "./support/upstream.mjs";
import { ENTRY_CATCH } from "./support/worker.mjs";
import { AUDIENCE, startWorld } from "./support/world.mjs";

// Counts what was sent on by a pass, and lets the instance trap.
function patch(source) {
  assert.match(source, ENTRY_CATCH, "the entry has the place that the test knows");
  const recalled = /ret=wasm\.recall\(pass,ptr0,len0,now\),ret/;
  assert.match(source, recalled, "the glue has the place that the test knows");
  return source
    .replace(recalled, (call) => `${call.slice(0, -4)},globalThis.recalled=(globalThis.recalled??0)+(ret===0?0:1),ret`)
    .replace(ENTRY_CATCH, (entry) => `${entry}
      if (request.url.endsWith("/recalled")) return new Response(String(globalThis.recalled ?? 0));
      if (request.url.endsWith("/kept")) return Response.json([...known.entries()]);
      if (request.url.endsWith("/trap")) wasm.plan(4294967295, 64, 0);
    `);
}

const PEOPLE = { usr_alice: undefined, usr_bob: { username: "bob", password: "builder" } };

let upstream;
before(async () => void (upstream = await startUpstream()));
after(() => upstream?.stop());

const ROUTES = (route) => [route("/api/*"), route("/late/*", {}, { timeout_seconds: 1 }), route("/maybe/*", { session: "optional" })];

async function inWorld(session, then, routes = ROUTES) {
  const route = (path, more, upstreams = {}) => ({ path, upstream: { url: `${upstream.url}/v1`, ...upstreams }, strip_prefix: true, resource: AUDIENCE, ...more });
  const world = await startWorld({
    worker: { patch },
    provider: { accessTokenTtl: 120 },
    settings: { session },
    routes: () => routes(route),
  });
  try {
    return await then(world);
  } finally {
    await world.stop();
  }
}

const recalls = async (world) => Number((await world.call(world.browser(), "/recalled")).text);

/** What the entry keeps: method and headers, and the passes. */
const kept = async (world) => (await world.call(world.browser(), "/kept")).json;

/** Whose token came with each call since the last look. */
const subjects = () =>
  upstream.seen.splice(0).map((record) => {
    const [value] = upstream.values(record, "authorization");
    return value && JSON.parse(Buffer.from(value.split(".")[1], "base64url")).sub;
  });

for (const cache_seconds of [60, 0]) {
  const kind = cache_seconds === 0 ? "cold" : "warm";

  test(`${kind}: people whose calls differ in nothing but the cookie carry each their own token, after a trap too`, () =>
    inWorld({ cache_seconds }, async (world) => {
      const browsers = Object.fromEntries(await Promise.all(Object.entries(PEOPLE).map(async ([sub, user]) => [sub, await world.loggedIn({ user })])));
      const names = Object.keys(PEOPLE);
      for (const times of [1, 2, 3]) {
        const before = await recalls(world);
        upstream.seen.length = 0;
        for (let nth = 0; nth < 20; nth += 1) {
          const name = names[(nth * times) % 2];
          assert.equal((await world.call(browsers[name], `/api/${nth}?of=${name}`)).status, 200);
        }
        const seen = [...upstream.seen];
        assert.deepEqual(subjects(), seen.map(({ url }) => new URL(url, "http://x").searchParams.get("of")));
        assert.ok((await recalls(world)) - before >= 18, `${await recalls(world)} by a pass`);
        await world.call(world.browser(), "/trap");
        // In another order than before: numbers begin anew with the instance.
        names.reverse();
      }
      // All at once, half of them before anybody has a pass of the new instance.
      await Promise.all(Array.from({ length: 40 }, (_, nth) => world.call(browsers[names[nth % 2]], `/api/at-once?of=${names[nth % 2]}`)));
      const seen = [...upstream.seen];
      assert.deepEqual(subjects(), seen.map(({ url }) => new URL(url, "http://x").searchParams.get("of")));
    }));

  test(`${kind}: after a logout the very same call is without a session, and without a token where it needs none`, () =>
    inWorld({ cache_seconds }, async (world) => {
      const browser = await world.loggedIn();
      for (let times = 0; times < 3; times += 1) {
        assert.equal((await world.call(browser, "/api/x")).status, 200);
        assert.equal((await world.call(browser, "/maybe/x")).status, 200);
      }
      assert.ok((await recalls(world)) >= 3);
      const { Cookie } = world.headersOf(browser);
      assert.ok(subjects().every((subject) => subject === "usr_alice"));
      assert.equal((await world.logout(browser)).status, 200);
      const again = (path) => world.call(world.browser(), path, { headers: { Cookie } });
      for (let times = 0; times < 3; times += 1) {
        assert.equal((await again("/api/x")).status, 401);
        assert.equal((await again("/maybe/x")).status, 200);
      }
      assert.deepEqual(subjects(), Array(3).fill(undefined));
    }));

  test(`${kind}: whatever the API does, the second call like it is answered like the first`, () =>
    inWorld({ cache_seconds }, async (world) => {
      const browser = await world.loggedIn();
      upstream.reply("/v1/ok", 200, [["ETag", '"1"'], ["Set-Cookie", "a=1"], ["Cache-Control", "public"]], "yes");
      upstream.reply("/v1/away", 302, [["Location", "/v1/there?x"]]);
      upstream.reply("/v1/elsewhere", 302, [["Location", "/other"]]);
      upstream.reply("/v1/none", 204);
      upstream.reply("/v1/refused", 401, [["WWW-Authenticate", 'Bearer error="invalid_token"']], "{}");
      upstream.reply("/v1/more", 401, [["WWW-Authenticate", 'Bearer error="insufficient_user_authentication", max_age="60"']], "{}");
      upstream.reply("/v1/broken", 503, [["Retry-After", "7"]], "no");
      upstream.answers.set("/v1/reset", (req) => req.socket.destroy());
      upstream.answers.set("/v1/silent", () => {});
      const urls = ["/api/ok", "/api/ok?a=1&b=/../c", "/api/away", "/api/elsewhere", "/api/none", "/api/refused", "/api/more", "/api/broken", "/api/reset", "/late/silent", "/api/", "/api", "/api?q", "/nowhere"];
      upstream.seen.length = 0;
      for (const url of urls) {
        const answers = [];
        for (let times = 0; times < 3; times += 1) {
          // Another header, so that the first has no pass.
          const answer = await world.call(browser, url, { headers: { "X-Tokenkeep": "1", "Accept-Encoding": `x-${urls.indexOf(url)}` } });
          const headers = answer.headers.filter(([name]) => !["date", "connection", "keep-alive", "transfer-encoding"].includes(name.toLowerCase()));
          answers.push({ status: answer.status, text: answer.text, headers });
        }
        const seen = upstream.seen.splice(0).map(({ method, url: target, pairs }) => ({ method, target, pairs }));
        assert.deepEqual(answers[1], answers[0], url);
        assert.deepEqual(answers[2], answers[0], url);
        const each = seen.length / 3;
        for (let nth = 0; nth < seen.length; nth += 1) assert.deepEqual(seen[nth], seen[nth % each], url);
      }
      assert.ok((await recalls(world)) > urls.length);
    }));
}

test("the number of a pass says nothing to another instance", () =>
  inWorld({ cache_seconds: 60 }, async (world) => {
    const [alice, bob] = [await world.loggedIn(), await world.loggedIn({ user: PEOPLE.usr_bob })];
    const call = (browser, coding) => world.call(browser, "/api/x", { headers: { "Accept-Encoding": coding } });
    upstream.seen.length = 0;
    // His is the first pass and the first grant, hers the second; then both are his.
    await call(bob, "x-1");
    await call(alice, "x-2");
    await call(alice, "x-2");
    await world.call(world.browser(), "/trap");
    await call(bob, "x-3");
    await call(bob, "x-2");
    await call(alice, "x-2");
    assert.deepEqual(subjects(), ["usr_bob", "usr_alice", "usr_alice", "usr_bob", "usr_bob", "usr_alice"]);
  }));

test("a call after a refresh carries the new token", () =>
  inWorld({ cache_seconds: 60 }, async (world) => {
    const browser = await world.loggedIn();
    const tokens = () => upstream.seen.splice(0).map((record) => upstream.values(record, "authorization")[0]);
    upstream.seen.length = 0;
    for (let times = 0; times < 3; times += 1) await world.call(browser, "/api/x");
    const [first, ...same] = tokens();
    assert.deepEqual(same, [first, first]);
    await world.worker.clock({ seconds: 40 });
    upstream.answers.set("/v1/renew", (req, res) => res.writeHead(req.headers.authorization === first ? 401 : 200).end());
    assert.equal((await world.call(browser, "/api/renew", { headers: { "Accept-Encoding": "x-other" } })).status, 200);
    const [, second] = tokens();
    assert.notEqual(second, first);
    for (let times = 0; times < 2; times += 1) await world.call(browser, "/api/x");
    assert.deepEqual(tokens(), [second, second]);
  }));

test("routes whose paths lie in one another, or begin alike, have each their own pass", () =>
  inWorld(
    { cache_seconds: 60 },
    async (world) => {
      const browser = await world.loggedIn();
      const paths = ["/api/user", "/api/user/1", "/api/users/1", "/api/users", "/api/exact", "/api/exact/1", "/api/exact?q", "/api/exactly", "/api", "/api/", "/api?q"];
      for (const path of paths) assert.equal((await world.call(browser, path)).status, 200);
      const before = await recalls(world);
      upstream.seen.length = 0;
      for (let times = 0; times < 3; times += 1) for (const path of paths) assert.equal((await world.call(browser, path)).status, 200);
      assert.deepEqual(upstream.seen.map(({ url }) => url), Array(3).fill(paths.map((path) => `/v1${path}`)).flat());
      assert.equal((await recalls(world)) - before, 3 * paths.length);
    },
    (route) => ["/api/user/*", "/api/exact", "/api", "/api/*"].map((path) => route(path, { strip_prefix: false })),
  ));

test("what is kept is bounded, forgotten each minute and with a logout, and holds no token where there are no warm grants", () =>
  inWorld({ cache_seconds: 0 }, async (world) => {
    const browser = await world.loggedIn();
    upstream.seen.length = 0;
    for (let times = 0; times < 3; times += 1) await world.call(browser, "/api/x?secret=1");
    const [token] = upstream.values(upstream.seen[0], "authorization");
    const passes = JSON.stringify(await kept(world));
    assert.match(passes, /"base":"http:.*\/v1"/);
    for (const secret of [token.split(" ")[1], "secret=1"]) assert.ok(!passes.includes(secret));

    const { Cookie } = world.headersOf(browser);
    const withCookie = async (more) => assert.equal((await world.call(world.browser(), "/api/x", { headers: { Cookie: `${Cookie}; ${more}` } })).status, 200);
    await withCookie(`long=${"x".repeat(2_048)}`);
    assert.equal((await kept(world)).length, 1, "not for a head as long as that");
    let most = 0;
    for (let n = 0; n < 4_000; n += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, m) => withCookie(`${"x".repeat(1_500)}=${n + m}`)));
      if (n % 500 === 0) most = Math.max(most, JSON.stringify(await kept(world)).length);
    }
    assert.ok(most > 4_000_000 && most < 14_000_000, `${most} characters at most, as JSON`);
    assert.ok((await kept(world)).length < 2_000, "it has begun anew");

    await world.worker.clock({ seconds: 61 });
    await world.call(browser, "/api/x");
    assert.equal((await kept(world)).length, 1);
    await world.logout(browser);
    assert.deepEqual(await kept(world), []);

    // An instance of another count, after a trap, forgets at its first logout too.
    for (let times = 0; times < 2; times += 1) {
      const another = await world.loggedIn();
      await world.call(world.browser(), "/trap");
      await world.call(another, "/api/x");
      assert.equal((await kept(world)).length, 1);
      await world.logout(another);
      assert.deepEqual(await kept(world), []);
    }
  }));
