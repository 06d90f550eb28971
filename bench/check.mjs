// Before a side is timed it shows that it does its whole job: what the API saw, what came back, and
// what is refused. A peer that left something out would win by it.

import assert from "node:assert/strict";

import { send } from "../tests/worker/support/raw.mjs";

/** Marked as no browser would: none of it may reach the API. */
const FORGED = [
  ["Authorization", "Basic ZXZpbDpldmls"],
  ["X-Forwarded-User", "root"],
  ["X_Auth_Request_User", "root"],
  ["Remote-User", "root"],
  ["Cf-Access-Jwt-Assertion", "forged"],
  ["X-Hop", "1"],
  ["Connection", "keep-alive, x-hop"],
];
const STAYS_HERE = /^(?:cookie|referer|origin|sec-fetch-.*|x-forwarded-user|x_auth_request_user|remote-user|cf-access-.*|x-hop|basic .*):/im;

/** Asserts of a side that isn't the bare pass-through. */
export async function check(side, upstream) {
  const session = side.cookies.map((pair) => pair.join("=")).join("; ");
  const ours = [["Sec-Fetch-Site", "same-origin"], ["Sec-Fetch-Mode", "cors"], ["Sec-Fetch-Dest", "empty"]];
  const ask = (path, headers = [], cookie = session, init = {}) =>
    send(`http://127.0.0.1:${side.port}`, {
      path: `/api${path}`,
      ...init,
      headers: [["Host", `localhost:${side.port}`], ...(cookie === "" ? [] : [["Cookie", cookie]]), ...(init.bare ? [] : ours), ...headers],
    });
  const seen = async () => (await send(upstream.url, { path: "/seen" })).text;
  const is = async (status, answer, what) => assert.equal((await answer).status, status, `${side.letter}: ${what}`);

  const answer = await ask("/bytes/1024?page=2", [...FORGED, ["Referer", "http://localhost/x"], ["Accept-Encoding", "gzip, deflate, br, zstd"], ["X-Kept", "yes"]]);
  const head = await seen();
  const why = `${side.letter}: the API saw\n${head}\nand was answered\n${answer.status} ${JSON.stringify(answer.headers, undefined, 1)}`;
  assert.equal(answer.status, 200, why);
  assert.equal(answer.body.length, 1_024, why);
  assert.match(head, /^GET \/bytes\/1024\?page=2 /, why);
  assert.match(head, /^authorization: Bearer \S{200,}\r$/im, why);
  assert.match(head, /^accept-encoding: gzip, br\r$/im, why);
  assert.match(head, /^x-kept: yes\r?$/im, why);
  assert.doesNotMatch(head, STAYS_HERE, why);
  for (const name of ["set-cookie", "strict-transport-security", "access-control-allow-origin"]) assert.equal(answer.header(name), null, why);
  for (const [name, value] of Object.entries({
    "content-security-policy": "sandbox",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "private, max-age=60",
    vary: "Accept-Encoding, Cookie",
    etag: 'W/"3e8-bench"',
    "x-request-id": "4fb0c1a2-93d4-4b8e-9a43-3a4f0c8f2c11",
  })) assert.equal(answer.header(name), value, `${name}; ${why}`);

  const upload = await ask("/sink", [["Origin", `http://localhost:${side.port}`]], session, { method: "POST", body: "x".repeat(1_000) });
  assert.deepEqual(upload.json, { bytes: 1_000 }, why);
  assert.doesNotMatch(await seen(), STAYS_HERE);
  const redirect = await ask("/status/302");
  assert.equal(redirect.header("location"), "/api/bytes/1", `${side.letter}: a redirect leads back to us`);
  await is(401, ask("/status/401"), "the API's own 401 to a young token goes through");
  await is(401, ask("/bytes/1", [], ""), "no session");
  await is(401, ask("/bytes/1", [], session.replace(/[^;]{8}(?=;|$)/, "AAAAAAAA")), "a forged session");
  await is(401, ask("/bytes/1", [], `${session}; ${session}`), "a session that comes twice");
  await is(403, ask("/bytes/1", [["Sec-Fetch-Site", "cross-site"]], session, { bare: true }), "another site");
  await is(403, ask("/bytes/1", [["Sec-Fetch-Site", "same-site"]], session, { bare: true }), "a sibling");
  await is(403, ask("/bytes/1", [], session, { bare: true }), "no word of where it comes from");
  await is(403, ask("/bytes/1", [["Sec-Fetch-Site", "same-origin"], ["Sec-Fetch-Dest", "document"], ["Sec-Fetch-Mode", "navigate"]], session, { bare: true }), "a navigation");
  await is(403, ask("/bytes/1", [["Origin", "http://evil.example"]]), "another origin");
  await is(400, ask("/%2e%2e/admin"), "a path with two readings");
  await is(425, ask("/bytes/1", [["Early-Data", "1"]]), "early data");
  await is(405, ask("/bytes/1", [], session, { method: "OPTIONS" }), "a method that isn't in the list");
  await is(200, ask("/bytes/1"), "and again an ordinary call");
}
