// Attacks §6.3: which headers reach an API, and which of an API's reach the browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { sendBytes } from "./support/raw.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { ROOT } from "./support/worker.mjs";
import { assertProblem, AUDIENCE, startWorld } from "./support/world.mjs";

let world;
let upstream;
let browser;
before(async () => {
  upstream = await startUpstream();
  const route = (path, more) => ({ path, upstream: { url: `${upstream.url}/base` }, strip_prefix: true, session: "required", resource: AUDIENCE, ...more });
  world = await startWorld({
    routes: () => [
      route("/api/*"),
      route("/open/*", { session: "anonymous", resource: undefined }),
      route("/maybe/*", { session: "optional" }),
      route("/files/*", { navigation: "download" }),
      route("/pages/*", { navigation: "page" }),
    ].map((entry) => JSON.parse(JSON.stringify(entry))),
  });
  browser = await world.loggedIn();
});
after(async () => {
  await world?.stop();
  await upstream?.stop();
});

async function arrived(path, headers) {
  const before = upstream.seen.length;
  const lines = [`GET ${path} HTTP/1.1`, `Host: localhost:${world.worker.port}`, ...headers, "", ""];
  const answer = await sendBytes(world.origin, Buffer.from(lines.join("\r\n"), "latin1"));
  return { answer, seen: upstream.seen.slice(before) };
}

const own = () => ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty", `Cookie: ${world.headersOf(browser).Cookie}`];

const KEPT = [["accept", "application/json"], ["accept-language", "de"], ["content-type", "application/json"], ["user-agent", "test"], ["x-request-id", "1"], ["if-none-match", '"a"'], ["range", "bytes=0-1"], ["x-custom", "kept"], ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], ["idempotency-key", "k"]];
const DROPPED = [
  "Authorization: Bearer evil", "Cookie2: a", "Keep-Alive: 1", "Proxy-Authenticate: x", "Proxy-Authorization: Basic eA==", "Proxy-Connection: x", "TE: trailers", "Trailer: x",
  "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "X-Forwarded-Proto: http", "X-Forwarded-Port: 1", "X-Forwarded-User: root", "X-Forwarded-Email: a@b", "X-Forwarded-Groups: admin", "X-Forwarded-Access-Token: x",
  "X-Forwarded-Uri: /admin", "X-Forwarded-Prefix: /x", "X-Forwarded-Method: DELETE", "X-Forwarded-Client-Cert: x", "Forwarded: for=1.2.3.4", "X-Real-IP: 1", "True-Client-IP: 1", "CF-Connecting-IP: 1", "CF-Access-Jwt-Assertion: x", "CF-IPCountry: XX", "Client-IP: 1",
  "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-HTTP-Method-Override: DELETE", "X-Middleware-Subrequest: x", "X-Auth-Request-User: root", "X-Auth-Request-Access-Token: x", "X-User: root", "X-User-Id: 1", "X-Email: a", "X-Groups: admin", "X-Access-Token: x", "X-Id-Token: x", "X-Userinfo: x",
  "DPoP: x", "Client-Cert: x", "SSL_CLIENT_CERT: x", "X_Forwarded_User: root", "x-forwarded_user: root", "X.Forwarded.User: root", "X_Real_IP: 1", "x_auth_request_user: root", "Remote_User: root", "X-Tokenkeep: 1", "Tokenkeep-Error: x", "Sec-Fetch-Mode: cors",
  "X-Client-Cert: x", "X-Envoy-External-Address: 1", "Via: 1.1 evil", "Origin-Not: kept",
].filter((line) => !line.startsWith("Origin-Not"));

// What workerd, or the network below it, adds by itself; none of it comes from the client.
// (The last two say to caches on the way that what a token fetches isn't theirs to keep.)
const RUNTIME = new Set(["host", "connection", "cf-worker", "accept-encoding", "authorization", "content-length", "cache-control", "pragma"]);

test("what a client may say arrives as it is; identities, origins and hops that it claims don't", async () => {
  const { answer, seen } = await arrived("/api/x", [...own(), ...KEPT.map(([name, value]) => `${name}: ${value}`), ...DROPPED, "Connection: close"]);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(seen.length, 1);
  const names = seen[0].pairs.map(([name]) => name);
  for (const [name, value] of KEPT) assert.deepEqual(upstream.values(seen[0], name), [value], name);
  const dropped = DROPPED.map((line) => line.split(":")[0].toLowerCase()).filter((name) => name !== "authorization");
  assert.deepEqual(names.filter((name) => dropped.includes(name)), []);
  const known = new Set([...RUNTIME, ...KEPT.map(([name]) => name)]);
  assert.deepEqual(names.filter((name) => !known.has(name)), [], "and nothing unforeseen");
  const tokens = upstream.values(seen[0], "authorization");
  assert.equal(tokens.length, 1);
  assert.match(tokens[0], /^Bearer eyJ/);
  assert.deepEqual(upstream.values(seen[0], "cache-control"), ["no-cache"], "for no cache on the way");
  assert.ok(!names.includes("cookie"));
});

test("each of them alone, and in other spellings, doesn't arrive either", async () => {
  const names = [...new Set(DROPPED.map((line) => line.split(":")[0]))].filter((name) => !/^(te|trailer|keep-alive)$/i.test(name));
  const spelled = names.flatMap((name) => [name, name.toLowerCase(), name.toUpperCase(), name.replaceAll("-", "_")]);
  const wrong = [];
  for (const name of new Set(spelled)) {
    const { seen } = await arrived("/open/x", [`${name}: evil-value`, "Connection: close"]);
    if (seen.some((record) => record.pairs.some(([, value]) => value.includes("evil-value")))) wrong.push(name);
  }
  assert.deepEqual(wrong, []);
});

test("the corpus that the native tests read: each header alone arrives, or doesn't, as it says", async () => {
  const corpus = JSON.parse(readFileSync(`${ROOT}tests/corpus/headers.json`, "utf8"));
  assert.ok(corpus.length > 50);
  // These change what the request is, not only what it says.
  const framing = new Set(["host", "connection", "content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer", "keep-alive"]);
  const wrong = [];
  for (const { name, value, expect } of corpus) {
    if (framing.has(name.toLowerCase())) continue;
    const { answer, seen } = await arrived("/open/x", [`${name}: ${value}`, "Connection: close"]);
    const there = seen.some((record) => record.pairs.some((pair) => pair[0] === name.toLowerCase() && pair[1] === value));
    if (there !== (expect === "kept")) wrong.push({ name, expect, status: answer?.status, arrived: there });
  }
  assert.deepEqual(wrong, []);
});

test("what Connection names is dropped, and our own headers survive being named", async () => {
  const { seen } = await arrived("/api/x", [...own(), "X-Custom: named", "X-Other: stays", "Connection: close, Authorization, X-Custom, Cookie, Accept-Encoding, Content-Type"]);
  assert.equal(seen.length, 1);
  assert.deepEqual(upstream.values(seen[0], "x-custom"), []);
  assert.deepEqual(upstream.values(seen[0], "x-other"), ["stays"]);
  assert.match(upstream.values(seen[0], "authorization").join(), /^Bearer eyJ/);
});

// CVE-2022-29226: a token that the client brings is no session.
test("a client's own Authorization is never forwarded, with or without a session", async () => {
  for (const path of ["/open/x", "/maybe/x"]) {
    const { seen } = await arrived(path, ["Sec-Fetch-Site: same-origin", "Authorization: Bearer evil", "authorization: Basic evil", "Connection: close"]);
    assert.equal(seen.length, 1);
    assert.deepEqual(upstream.values(seen[0], "authorization"), []);
  }
  const { answer, seen } = await arrived("/api/x", ["Sec-Fetch-Site: same-origin", "Authorization: Bearer evil", "Connection: close"]);
  assertProblem(answer, 401, "unauthenticated");
  assert.equal(seen.length, 0);
});

test("an anonymous route never sees the session, an optional one goes bare without the CSRF layers", async () => {
  const bare = async (path, headers) => {
    const { answer, seen } = await arrived(path, [...headers, "Connection: close"]);
    assert.equal(answer.status, 200, `${path} ${answer.code}`);
    return upstream.values(seen[0], "authorization").length === 0 && upstream.values(seen[0], "cookie").length === 0;
  };
  assert.ok(await bare("/open/x", own()));
  assert.ok(!(await bare("/maybe/x", own())));
  const cookie = own().at(-1);
  assert.ok(await bare("/maybe/x", ["Sec-Fetch-Site: cross-site", cookie]));
  assert.ok(await bare("/maybe/x", ["Sec-Fetch-Site: same-site", cookie]));
  assert.ok(await bare("/maybe/x", [cookie]));
});

test("malformed heads are refused by us or the runtime and reach nobody", async () => {
  for (const line of ["X-User : root", "X-Folded: a\r\n b", "X-Nul: a\u0000b", ": empty", "Bad Name: x"]) {
    const { answer, seen } = await arrived("/open/x", [line, "Connection: close"]);
    assert.ok(answer === null || answer.status === 400, `${JSON.stringify(line)}: ${answer?.status}`);
    assert.deepEqual(seen, []);
  }
  const twice = await sendBytes(world.origin, Buffer.from(`GET /open/x HTTP/1.1\r\nHost: localhost:${world.worker.port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n`));
  assert.ok(twice === null || [400, 421].includes(twice.status), `two Hosts: ${twice?.status}`);
});

test("doubled request headers of ours don't add up to consent", async () => {
  const cookie = own().at(-1);
  for (const lines of [["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], ["X-Tokenkeep: 1", "X-Tokenkeep: 1"], [`Origin: ${world.origin}`, "Origin: https://evil.example"], ["X-Tokenkeep: 1, 1"], ["X-Tokenkeep: true"], ["X-Tokenkeep:"]]) {
    const { answer, seen } = await arrived("/api/x", [...lines, cookie, "Connection: close"]);
    assert.equal(answer.status, 403, lines.join(" | "));
    assert.deepEqual(seen, []);
  }
});

test("an API's answer loses what would act in our origin's name", async () => {
  upstream.reply("/base/hostile", 200, [
    ["Content-Type", "application/json"], ["Set-Cookie", "api=1; Path=/"], ["Set-Cookie", `tokenkeep-${world.worker.port}=stolen; Path=/`], ["Clear-Site-Data", '"*"'], ["Service-Worker-Allowed", "/"], ["Access-Control-Allow-Origin", "*"],
    ["Access-Control-Allow-Credentials", "true"], ["Access-Control-Expose-Headers", "*"], ["NEL", "{}"], ["Report-To", "{}"], ["Reporting-Endpoints", 'a="/x"'], ["Tokenkeep-Error", "forged"], ["Cache-Control", "public, max-age=600, s-maxage=900"],
    ["Content-Security-Policy", "default-src *"], ["Cross-Origin-Resource-Policy", "cross-origin"], ["Refresh", "0; url=https://evil.example"], ["Strict-Transport-Security", "max-age=0"], ["Alt-Svc", 'h3=":1"'], ["Keep-Alive", "timeout=5"], ["Proxy-Authenticate", "Basic"],
    ["X-Named", "gone"], ["Connection", "X-Named"], ["X-Kept", "yes"], ["ETag", '"1"'], ["Content-Language", "de"], ["Link", "</x>; rel=next"], ["Retry-After", "3"], ["CDN-Cache-Control", "max-age=600"],
  ], "{}");
  const answer = await world.call(browser, "/api/hostile");
  assert.equal(answer.status, 200);
  for (const name of ["set-cookie", "clear-site-data", "service-worker-allowed", "access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers", "nel", "report-to", "reporting-endpoints", "tokenkeep-error", "refresh", "strict-transport-security", "alt-svc", "proxy-authenticate", "x-named", "cdn-cache-control"]) {
    assert.deepEqual(answer.all(name), [], name);
  }
  assert.equal(answer.header("x-kept"), "yes");
  assert.equal(answer.header("etag"), '"1"');
  assert.equal(answer.header("link"), "</x>; rel=next");
  assert.equal(answer.header("retry-after"), "3");
  assert.equal(answer.header("x-content-type-options"), "nosniff");
  assert.equal(answer.header("cross-origin-resource-policy"), "same-origin");
  assert.equal(answer.header("content-security-policy"), "sandbox");
  assert.match(answer.header("cache-control"), /(^|[ ,])private/);
  assert.doesNotMatch(answer.header("cache-control"), /public|s-maxage/);
  assert.match(answer.header("vary"), /cookie/i);
  assert.equal(browser.sessionCookie(world.origin).value.length, 64, "the session cookie is what it was");
});

test("without a token the API's own caching stays, the rest goes all the same", async () => {
  upstream.reply("/base/cached", 200, [["Content-Type", "application/json"], ["Cache-Control", "public, max-age=600"], ["Set-Cookie", "api=1"], ["Access-Control-Allow-Origin", "*"]], "{}");
  const answer = await world.raw({ path: "/open/cached" });
  assert.equal(answer.header("cache-control"), "public, max-age=600");
  assert.deepEqual(answer.all("set-cookie"), []);
  assert.equal(answer.header("access-control-allow-origin"), null);
  assert.equal(answer.header("content-security-policy"), "sandbox");
});

test("an answer without Cache-Control to a call with a token is private, no-store stays", async () => {
  upstream.reply("/base/plain", 200, [["Content-Type", "application/json"]], "{}");
  assert.match((await world.call(browser, "/api/plain")).header("cache-control"), /private/);
  upstream.reply("/base/nostore", 200, [["Content-Type", "application/json"], ["Cache-Control", "no-store"]], "{}");
  assert.equal((await world.call(browser, "/api/nostore")).header("cache-control"), "no-store");
});

test("a challenge for a password window doesn't come through, a bearer challenge does", async () => {
  upstream.reply("/base/basic", 403, [["WWW-Authenticate", 'Basic realm="x"']], "");
  assert.equal((await world.call(browser, "/api/basic")).header("www-authenticate"), null);
  upstream.reply("/base/bearer", 403, [["WWW-Authenticate", 'Bearer error="insufficient_scope", scope="admin"']], "");
  assert.match((await world.call(browser, "/api/bearer")).header("www-authenticate"), /insufficient_scope/);
});

// An upstream's redirect is never followed: the token would go along.
test("an API's redirect is never followed: rewritten where it leads back, passed where it leads away, refused where no route leads", async () => {
  const own = `${upstream.url}/base`;
  const cases = [
    [`${own}/orders?x=1`, 302, "/api/orders?x=1"],
    ["/base/orders", 307, "/api/orders"],
    ["orders", 308, "/api/orders"],
    ["https://elsewhere.example/x", 302, "https://elsewhere.example/x"],
    [`${upstream.url}/outside`, 302, null],
    ["/outside", 301, null],
    ["../outside", 302, null],
    [`${own}/../outside`, 302, null],
    ["javascript:alert(1)", 302, null],
    ["data:text/html,x", 302, null],
    ["http://user:pass@evil.example/", 302, null],
    ["//evil.example/x", 302, "*"],
  ];
  for (const [location, status, expected] of cases) {
    upstream.reply("/base/redirect", status, [["Location", location]], "");
    const before = upstream.seen.length;
    const answer = await world.call(browser, "/api/redirect");
    assert.equal(upstream.seen.length, before + 1, `${location}: followed`);
    if (expected === null) assertProblem(answer, 502, "upstream_redirect_refused");
    else {
      assert.equal(answer.status, status, `${location} ${answer.code}`);
      if (expected !== "*") assert.equal(answer.header("location"), expected);
      assert.doesNotMatch(answer.header("location"), new RegExp(`:${upstream.port}`), "the upstream's address stays inside");
    }
  }
});

test("an API's path is for calls: documents, frames and service workers are refused", async () => {
  const cookie = world.headersOf(browser).Cookie;
  for (const dest of ["document", "iframe", "frame", "embed", "object", "serviceworker"]) {
    const before = upstream.seen.length;
    const answer = await world.raw({ path: "/api/x", headers: { Cookie: cookie, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest } });
    assertProblem(answer, 403, "navigation_refused");
    assert.equal(upstream.seen.length, before, dest);
  }
  assertProblem(await world.raw({ path: "/api/x", headers: { Cookie: cookie, "Sec-Fetch-Site": "same-origin", "Service-Worker": "script" } }), 403, "navigation_refused");
});

test("a download route gives files to a same-origin navigation, as attachments", async () => {
  upstream.reply("/base/report", 200, [["Content-Type", "text/html"], ["Content-Disposition", 'inline; filename="r.html"']], "<script>1</script>");
  const cookie = world.headersOf(browser).Cookie;
  const headers = { Cookie: cookie, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  const answer = await world.raw({ path: "/files/report", headers });
  assert.equal(answer.status, 200, answer.code);
  assert.match(answer.header("content-disposition"), /^attachment/);
  assert.equal(answer.header("content-security-policy"), "sandbox");
  const foreign = await world.raw({ path: "/files/report", headers: { ...headers, "Sec-Fetch-Site": "cross-site" } });
  assert.ok(foreign.status >= 400);
});

test("a page route shows a document from another site without a token, once through a page of ours", async () => {
  upstream.reply("/base/doc", 200, [["Content-Type", "text/html"], ["Cache-Control", "public, max-age=600"]], "<p>doc");
  const headers = { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  const first = await world.raw({ path: "/pages/doc", headers });
  assert.equal(first.status, 200);
  assert.notEqual(first.text, "<p>doc");
  assert.doesNotMatch(first.text, /<script/i);
  const cookie = world.headersOf(browser).Cookie;
  const before = upstream.seen.length;
  const within = await world.raw({ path: "/pages/doc", headers: { ...headers, "Sec-Fetch-Site": "same-origin", Referer: `${world.origin}/`, Cookie: cookie } });
  assert.equal(within.text, "<p>doc");
  assert.equal(upstream.values(upstream.seen[before], "authorization").length, 1);
  const again = await world.raw({ path: "/pages/doc", headers: { ...headers, "Sec-Fetch-Site": "same-origin", Cookie: cookie } });
  assert.equal(again.text, "<p>doc", "what our own page sends again is shown");
  assert.deepEqual(upstream.values(upstream.seen[before + 1], "authorization"), [], "but with no token");
  assert.equal(again.header("cache-control"), "private, max-age=600", "nor for a shared cache");
  assert.match(again.header("vary"), /cookie/i);
  const foreign = await world.raw({ path: "/pages/doc", headers: { ...headers, Cookie: cookie } });
  const seen = upstream.seen.slice(before + 2);
  assert.ok(seen.every((record) => upstream.values(record, "authorization").length === 0), `${foreign.status}: no token for a navigation from another site`);
});

test("a preflight is answered by us, without CORS headers, and reaches nobody", async () => {
  for (const path of ["/api/x", "/open/x", "/auth/logout", "/auth/session"]) {
    for (const origin of ["https://evil.example", "null", "http://localhost:1", `${world.origin}.evil.example`]) {
      const before = upstream.seen.length;
      const answer = await world.raw({ method: "OPTIONS", path, headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-tokenkeep", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site" } });
      assert.deepEqual(answer.headers.filter(([name]) => name.startsWith("access-control-")), [], path);
      assert.deepEqual(answer.all("set-cookie"), []);
      assert.equal(upstream.seen.length, before);
    }
  }
});

test("no answer of ours has a CORS header, whoever asks", async () => {
  for (const path of ["/auth/session", "/auth/login", "/auth/health", "/api/x", "/open/x", "/nowhere"]) {
    const answer = await world.raw({ path, headers: { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", Cookie: world.headersOf(browser).Cookie } });
    assert.deepEqual(answer.headers.filter(([name]) => name.startsWith("access-control-")), [], path);
  }
});

// H12, whole: each layer, with and without the others.
test("the CSRF matrix: a token is attached only to what is ours", async () => {
  const cookie = world.headersOf(browser).Cookie;
  const sites = [undefined, "same-origin", "same-site", "cross-site", "none", "garbage", "SAME-ORIGIN", "same-origin, cross-site", ""];
  const origins = [undefined, world.origin, "null", "https://evil.example", `${world.origin}.evil.example`, world.origin.replace("http:", "https:"), `http://localhost:${world.worker.port + 1}`, "http://localhost", `${world.origin}/`, world.origin.toUpperCase()];
  const markers = [undefined, "1", "0"];
  const types = [undefined, "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json"];
  const wrong = [];
  for (const method of ["GET", "POST"]) {
    for (const site of sites) {
      for (const from of origins) {
        for (const marker of markers) {
          const type = types[(sites.indexOf(site) + origins.indexOf(from)) % types.length];
          const known = ["same-origin", "same-site", "cross-site", "none"].includes(site);
          const allowed = known && site !== "same-origin" ? false : from === world.origin || (from === undefined && (site === "same-origin" || marker === "1"));
          const before = upstream.seen.length;
          const answer = await world.raw({ method, path: "/api/x", headers: { Cookie: cookie, "Sec-Fetch-Site": site, Origin: from, "X-Tokenkeep": marker, "Content-Type": type }, body: method === "POST" ? "" : undefined });
          const sent = upstream.seen.length - before;
          const good = allowed ? answer.status === 200 && sent === 1 : answer.status === 403 && sent === 0 && answer.code?.match(/^csrf_|^dev_server/);
          if (!good) wrong.push({ method, site, from, marker, type, status: answer.status, code: answer.code, sent });
        }
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("the refusals of a dev server's and another site's call have codes of their own", async () => {
  const cookie = world.headersOf(browser).Cookie;
  assertProblem(await world.raw({ path: "/api/x", headers: { Cookie: cookie, "Sec-Fetch-Site": "same-site" } }), 403, "dev_server_not_proxied");
  assertProblem(await world.raw({ path: "/api/x", headers: { Cookie: cookie, "Sec-Fetch-Site": "cross-site" } }), 403, "csrf_cross_site");
  assertProblem(await world.raw({ path: "/api/x", headers: { Cookie: cookie, Origin: "null" } }), 403, "csrf_origin");
  assertProblem(await world.raw({ path: "/api/x", headers: { Cookie: cookie } }), 403, "csrf_header_missing");
});

test("the session endpoint shows nobody to a page that isn't ours", async () => {
  const cookie = world.headersOf(browser).Cookie;
  for (const headers of [{ "Sec-Fetch-Site": "cross-site" }, { "Sec-Fetch-Site": "same-site" }, { Origin: "https://evil.example" }, { "Sec-Fetch-Site": "none" }, {}]) {
    const answer = await world.raw({ path: "/auth/session", headers: { ...headers, Cookie: cookie } });
    assert.doesNotMatch(answer.text, /alice|usr_/i, JSON.stringify(headers));
  }
});

test("early data is not acted on", async () => {
  const cookie = world.headersOf(browser).Cookie;
  const before = upstream.seen.length;
  assertProblem(await world.raw({ path: "/api/x", headers: { Cookie: cookie, "Sec-Fetch-Site": "same-origin", "Early-Data": "1" } }), 425, "early_data");
  assertProblem(await world.raw({ path: "/auth/callback?code=x&state=y", headers: { "Early-Data": "1" } }), 425, "early_data");
  assert.equal(upstream.seen.length, before);
});

test("every answer of ours says what it must: no-store, nosniff, a referrer policy, and no cookie by the way", async () => {
  const asks = [["/auth/session", {}], ["/auth/health", {}], ["/auth/nowhere", {}], ["/api/x", { "Sec-Fetch-Site": "same-origin" }], ["/api/../x", {}], ["/auth/callback", {}], ["/auth/logged-out", {}], ["/auth/login", { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }]];
  for (const [path, headers] of asks) {
    const answer = await world.raw({ path, headers });
    assert.equal(answer.header("cache-control"), "no-store", path);
    assert.equal(answer.header("x-content-type-options"), "nosniff", path);
    assert.ok(answer.header("referrer-policy"), path);
    assert.ok(answer.all("set-cookie").every((line) => !/^(__Host-Http-)?tokenkeep(-\d+)?=/.test(line)), path);
    if (answer.header("content-type")?.startsWith("text/html")) assert.match(answer.header("content-security-policy"), /default-src 'none'/, path);
  }
});
