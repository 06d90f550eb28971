// The demo's orders API: knows nothing of Tokenkeep or of cookies. It takes a request with a valid
// access token (RFC 6750; signature, issuer, audience, expiry) and answers with JSON.
//
// `/whoami` tells what reached it. Under `/test/` are the odd answers that a proxy must cope with.

import { pathToFileURL } from "node:url";
import zlib from "node:zlib";

import { createRemoteJWKSet, jwtVerify } from "jose";

import { listen } from "./listen.mjs";

/** Larger bodies are refused by everything but `/test/sink` and `/test/echo`. */
const BODY_LIMIT = 16 * 1024;

const MENU = [
  { item: "Yirgacheffe, 250 g", quantity: 2 },
  { item: "Huila Supremo, 1 kg", quantity: 1 },
];

/**
 * Starts the API.
 *
 * @param {{ port?: number, issuer: string, audience: string, jwksUri?: string }} options port 0: any free
 *   one; `jwksUri`: `<issuer>/jwks.json` if missing
 * @returns {Promise<{ url: string, port: number, control: object, stop(): Promise<void> }>} `control.log`:
 *   every request as `{ method, url, headers, rawHeaders, at }`; `control.refuse(n)`: the next n requests
 *   that bring a token get 401 `invalid_token`; `control.refuseToken(token)`: so does this one from now on;
 *   `control.reset()` empties all
 */
export async function startApi({ port, issuer, audience, jwksUri }) {
  const keys = createRemoteJWKSet(new URL(jwksUri ?? `${issuer.replace(/\/$/, "")}/jwks.json`), { cooldownDuration: 0 });
  const orders = new Map();
  const control = {
    log: [],
    refusals: 0,
    refused: new Set(),
    refuse(times) {
      this.refusals = times;
    },
    refuseToken(token) {
      this.refused.add(token);
    },
    reset() {
      this.log = [];
      this.refusals = 0;
      this.refused.clear();
    },
  };
  const api = { issuer, audience, keys, orders, control };
  const server = await listen((req, res) => {
    control.log.push({ method: req.method, url: req.url, headers: { ...req.headers }, rawHeaders: [...req.rawHeaders], at: Date.now() });
    if (control.log.length > 5_000) control.log.shift();
    answer(api, req, res).catch((error) => {
      if (res.headersSent) return void res.destroy();
      send(res, error.status ?? 500, { error: error.status ? error.message : "internal_error" });
    });
  }, { port });
  return { url: `http://localhost:${server.port}`, port: server.port, control, stop: () => server.stop() };
}

async function answer(api, req, res) {
  const url = new URL(req.url, "http://api");
  if (url.pathname.startsWith("/test/")) return odd(url, req, res);
  if (url.pathname === "/health") return send(res, 200, { ok: true });
  if (url.pathname === "/menu") return send(res, 200, { menu: MENU.map(({ item }) => item) });

  const person = await authenticate(api, req, res);
  if (person === undefined) return undefined;
  if (url.pathname === "/whoami") return send(res, 200, received(req, person));
  if (url.pathname !== "/orders") return send(res, 404, { error: "not_found" });

  const mine = api.orders.get(person.sub) ?? seed(api.orders, person.sub);
  if (req.method === "GET" || req.method === "HEAD") return send(res, 200, { orders: mine });
  if (req.method !== "POST") return send(res, 405, { error: "method_not_allowed" }, { allow: "GET, HEAD, POST" });
  const order = await readOrder(req);
  if (order === undefined) return send(res, 422, { error: "invalid_order", expected: '{"item": "1 to 80 characters", "quantity": 1 to 99}' });
  const placed = { id: mine.length + 1, ...order, placed_at: new Date().toISOString() };
  mine.push(placed);
  return send(res, 201, placed);
}

/** RFC 6750 §3: no token is a bare challenge, a wrong one says why. */
async function authenticate({ issuer, audience, keys, control }, req, res) {
  const [, token] = /^Bearer ([\w.~+/-]+=*)$/i.exec(req.headers.authorization ?? "") ?? [];
  if (token === undefined) {
    send(res, 401, { error: "token_missing" }, { "www-authenticate": 'Bearer realm="orders"' });
    return undefined;
  }
  const refuse = (description) => {
    send(res, 401, { error: "invalid_token", description }, { "www-authenticate": 'Bearer realm="orders", error="invalid_token"' });
    return undefined;
  };
  if (control.refusals > 0) {
    control.refusals -= 1;
    return refuse("refused by the test");
  }
  if (control.refused.has(token)) return refuse("refused by the test");
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt", requiredClaims: ["sub", "exp"], clockTolerance: 0 });
    return { sub: payload.sub, token };
  } catch (error) {
    return refuse(error.code ?? "unreadable");
  }
}

/** What came, told without telling the token: the demo's page shows it. */
function received(req, { sub, token }) {
  return {
    subject: sub,
    method: req.method,
    path: req.url,
    authorization: { scheme: "Bearer", starts_with: token.slice(0, 6), length: token.length },
    cookie: req.headers.cookie !== undefined,
    header_names: [...new Set(req.rawHeaders.filter((_, i) => i % 2 === 0).map((n) => n.toLowerCase()))].sort(),
  };
}

function seed(orders, sub) {
  const first = MENU.map((line, i) => ({ id: i + 1, ...line, placed_at: new Date(Date.now() - (MENU.length - i) * 86_400_000).toISOString() }));
  orders.set(sub, first);
  return first;
}

async function readOrder(req) {
  let order;
  try {
    order = JSON.parse((await readBody(req, BODY_LIMIT)).toString());
  } catch (error) {
    if (error.status) throw error;
    return undefined;
  }
  const item = typeof order?.item === "string" ? order.item.trim() : "";
  const { quantity } = order ?? {};
  if (item.length < 1 || item.length > 80 || !Number.isInteger(quantity) || quantity < 1 || quantity > 99) return undefined;
  return { item, quantity };
}

/**
 * The answers that nobody wants and a proxy meets; no token needed, so that a bare forward shows them too.
 *
 * /test/status/418 · /test/redirect?to=…&status=302 · /test/slow?ms=500 · /test/echo (body back, its
 * type too) · /test/sink (counts bytes) · /test/bytes?n=… (that many, flat memory) · /test/gzip ·
 * /test/set-cookie · /test/headers (all received, values too: for tests with made-up tokens only) ·
 * /test/html · /test/hostile (headers that no page of ours should get) · /test/cut (dies in mid-body) ·
 * /test/stream?n=3&ms=100 (chunks with pauses)
 */
async function odd(url, req, res) {
  const [, , name, rest] = url.pathname.split("/");
  const number = (key, otherwise) => Number(url.searchParams.get(key) ?? otherwise);
  switch (name) {
    case "status":
      return send(res, Number(rest), { status: Number(rest) }, rest === "401" ? { "www-authenticate": 'Bearer error="invalid_token"' } : {});
    case "redirect":
      return send(res, number("status", 302), {}, { location: url.searchParams.get("to") ?? "/orders" });
    case "slow":
      await pause(number("ms", 500));
      return send(res, 200, { waited: number("ms", 500) });
    case "echo":
      res.writeHead(200, { "content-type": req.headers["content-type"] ?? "application/octet-stream" });
      return void req.pipe(res);
    case "sink": {
      let bytes = 0;
      for await (const chunk of req) bytes += chunk.length;
      return send(res, 200, { bytes });
    }
    case "bytes": {
      res.writeHead(200, { "content-type": "application/octet-stream", "content-length": number("n", 1024) });
      const block = Buffer.alloc(64 * 1024, "t");
      for (let left = number("n", 1024); left > 0 && !res.destroyed; left -= block.length) {
        if (!res.write(left < block.length ? block.subarray(0, left) : block)) {
          await new Promise((done) => res.once("drain", done).once("close", done));
        }
      }
      return void res.end();
    }
    case "gzip":
      res.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
      return void res.end(zlib.gzipSync(JSON.stringify({ gzip: true, accept: req.headers["accept-encoding"] ?? null })));
    case "set-cookie":
      return send(res, 200, { tried: true }, { "set-cookie": ["api=1; Path=/", "__Host-Http-tokenkeep=stolen; Path=/; Secure; HttpOnly"] });
    case "headers":
      return send(res, 200, { method: req.method, url: req.url, headers: pairs(req.rawHeaders) });
    case "html":
      res.writeHead(200, { "content-type": "text/html" });
      return void res.end("<!doctype html><script>document.title = 'ran'</script><p>A page of the API's</p>");
    case "hostile":
      return send(res, 200, { hostile: true }, {
        "access-control-allow-origin": "*",
        "access-control-allow-credentials": "true",
        "clear-site-data": '"*"',
        "service-worker-allowed": "/",
        "nel": '{"report_to":"x","max_age":1}',
        "report-to": '{"group":"x","max_age":1,"endpoints":[]}',
        "set-cookie": "tokenkeep-8787=stolen; Path=/",
        "tokenkeep-error": "forged",
        "cache-control": "public, max-age=31536000",
        "content-security-policy": "default-src *",
        "x-kept": "yes",
      });
    case "cut":
      res.writeHead(200, { "content-type": "application/json", "content-length": 1000 });
      res.write('{"half":');
      await pause(50);
      return void res.destroy();
    case "stream":
      res.writeHead(200, { "content-type": "text/plain" });
      for (let i = 0; i < number("n", 3) && !res.destroyed; i += 1) {
        res.write(`chunk ${i}\n`);
        await pause(number("ms", 100));
      }
      return void res.end();
    default:
      return send(res, 404, { error: "not_found" });
  }
}

function pairs(raw) {
  const out = [];
  for (let i = 0; i < raw.length; i += 2) out.push([raw[i].toLowerCase(), raw[i + 1]]);
  return out;
}

async function readBody(req, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of req) {
    length += chunk.length;
    if (length > limit) throw Object.assign(new Error("body_too_large"), { status: 413 });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(res, status, body, headers = {}) {
  const empty = status === 204 || status === 304;
  res.writeHead(status, { ...(empty ? {} : { "content-type": "application/json" }), "cache-control": "no-store", ...headers });
  res.end(empty ? undefined : JSON.stringify(body));
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { API_PORT = "9100", PROVIDER_PORT = "9000" } = process.env;
  const { url } = await startApi({ port: Number(API_PORT), issuer: `http://localhost:${PROVIDER_PORT}`, audience: `http://localhost:${API_PORT}` });
  console.log(`api ready on ${url}`);
}
