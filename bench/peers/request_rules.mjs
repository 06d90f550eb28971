// What the peers do with a request: the duties of Tokenkeep's src/http (head, path, route, csrf,
// navigation, cookies, request_headers), as a JavaScript programmer writes them who counts every
// microsecond: one look over the names, each judged once and the judgement kept; a value is read only
// where it decides something; no URL object. Tried and no faster: all entries in one pass, `forEach`, a
// list or an object of what goes on in the place of a copy with deletions.

import { env } from "cloudflare:workers";

import { problem, unauthenticated } from "./answers.mjs";
import { Kept } from "./kept.mjs";

const { ORIGIN, UPSTREAM } = env;
const PREFIX = "/api";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);

// Known headers are numbered, so that one look at a name says both what it is and whether it goes on.
const [GOES_ON, DROPPED, COOKIE, SITE, MODE, DEST, ORIGIN_, ENCODING, CONNECTION, UPGRADE, LENGTH, CHUNKS, EARLY, WORKER, PROOF] = Array(15).keys();
const KNOWN = new Map([
  ["cookie", COOKIE],
  ["sec-fetch-site", SITE],
  ["sec-fetch-mode", MODE],
  ["sec-fetch-dest", DEST],
  ["origin", ORIGIN_],
  ["accept-encoding", ENCODING],
  ["connection", CONNECTION],
  ["upgrade", UPGRADE],
  ["content-length", LENGTH],
  ["transfer-encoding", CHUNKS],
  ["early-data", EARLY],
  ["service-worker", WORKER],
  ["x-tokenkeep", PROOF],
]);

const NAMES = new Set(
  `authorization cdn-loop client-cert client-cert-chain client-ip connection cookie cookie2 dpop expect
  fastly-client-ip forwarded host http2-settings id-token keep-alive origin proxy referer te trailer
  transfer-encoding true-client-ip upgrade via x-access-token x-amzn-oidc-accesstoken x-amzn-oidc-data
  x-amzn-oidc-identity x-client-dn x-client-ip x-client-verify x-cluster-client-ip x-email x-forwarded
  x-groups x-host x-http-method x-http-method-override x-id-token x-identity x-jwt-assertion
  x-method-override x-middleware-subrequest x-original-forwarded-for x-original-host x-original-method
  x-original-uri x-original-url x-real-ip x-remote-addr x-remote-ip x-remote-user x-rewrite-url x-roles
  x-sendfile-type x-session x-tenant x-tokenkeep`.split(/\s+/),
);
const BEGINNINGS = `access-control-request- cf- oidc- proxy- remote- sec-fetch- sec-websocket- ssl-
  tailscale-user- teleport- tokenkeep- x-accel- x-auth- x-authenticated- x-authentik- x-client-cert
  x-consumer- x-credential- x-envoy- x-forwarded- x-goog-authenticated- x-goog-iap-
  x-ms-client-principal x-ms-token- x-pomerium- x-remote-user- x-ssl- x-user x-vouch- x-webauth-`.split(/\s+/);

const names = new Kept((name) => {
  const normal = name.toLowerCase().replace(/[_.]/g, "-");
  return KNOWN.get(name) ?? (NAMES.has(normal) || BEGINNINGS.some((start) => normal.startsWith(start)) ? DROPPED : GOES_ON);
});

const encodings = new Kept((accepted) => {
  const items = accepted.split(",").map((item) => item.split(";").map((part) => part.trim()));
  const takes = (coding) => items.some(([name, weight]) => (name === coding || name === "*") && !/^q=0(\.0*)?$/.test(weight ?? ""));
  return ["gzip", "br"].filter(takes).join(", ") || "identity";
});

/** Segments of plain characters, none of them beginning with a dot: one reading only. */
const PLAIN_PATH = /^(?:\/[\w~!$&'()*+,=:@|[\]-][\w.~!$&'()*+,=:@|[\]-]*)*\/?$/;
const QUERY = /^[!-~]*$/;

/** Any other path: percent-encodings, parameters and dots, where they have one reading only. */
function hasOneReading(path) {
  if (!/^[\w.~!$&'()*+,;=:@|[\]/%-]*$/.test(path)) return false;
  const segments = path.slice(1).split("/");
  return segments.every((segment, at) => {
    if (segment === "") return at === segments.length - 1;
    let decoded;
    try {
      decoded = decodeURIComponent(segment);
    } catch {
      return false;
    }
    return !/^[. ]*(?:;|$)/.test(decoded) && !/[\0-\x1f\x7f/\\]|%(?:25)*(?:2[ef]|5c)/i.test(decoded);
  });
}

/** A call that may go on once its session is known. */
class Call {
  constructor(method, url, headers, cookie, body, isRepeatable) {
    this.method = method;
    this.url = url;
    this.headers = headers;
    this.cookie = cookie;
    this.body = body;
    this.isRepeatable = isRepeatable;
  }
}

/** A call, with the session's cookie and the headers that go on, or the answer in its place. */
export function admit(request) {
  const { url, method } = request;
  if (!url.startsWith(ORIGIN) || url.charCodeAt(ORIGIN.length) !== 47) return problem("origin_unknown");
  const mark = url.indexOf("?", ORIGIN.length);
  const path = mark < 0 ? url.slice(ORIGIN.length) : url.slice(ORIGIN.length, mark);
  if (!PLAIN_PATH.test(path) && !hasOneReading(path)) return problem("path_ambiguous");
  if (mark >= 0 && !QUERY.test(url.slice(mark + 1))) return problem("request_malformed");
  if (!path.startsWith(PREFIX) || (path.length > PREFIX.length && path.charCodeAt(PREFIX.length) !== 47)) return problem("not_found");

  const sent = request.headers;
  const headers = new Headers(sent);
  let cookie, site, mode, dest, origin, encoding, connection, upgrade, length, chunks, early, worker, proof;
  for (const name of sent.keys()) {
    switch (names.of(name)) {
      case GOES_ON: continue;
      case DROPPED: break;
      case COOKIE: cookie = sent.get(name); break;
      case SITE: site = sent.get(name); break;
      case MODE: mode = sent.get(name); break;
      case DEST: dest = sent.get(name); break;
      case ORIGIN_: origin = sent.get(name); break;
      case ENCODING: encoding = sent.get(name); continue;
      case CONNECTION: connection = sent.get(name); break;
      case UPGRADE: upgrade = sent.get(name); break;
      case LENGTH: length = sent.get(name); continue;
      case CHUNKS: chunks = sent.get(name); break;
      case EARLY: early = sent.get(name); continue;
      case WORKER: worker = sent.get(name); continue;
      case PROOF: proof = sent.get(name); break;
    }
    headers.delete(name);
  }

  if (!METHODS.has(method)) return method === "OPTIONS" && sent.has("access-control-request-method") ? new Response(null, { status: 204 }) : problem("method_not_allowed");
  if (upgrade !== undefined && upgrade.toLowerCase().includes("websocket")) return problem("upgrade_not_supported");
  const isSafe = method === "GET" || method === "HEAD";
  const hasBody = chunks !== undefined || (length !== undefined && length !== "0");
  if (isSafe && hasBody) return problem("body_not_allowed");
  if (worker !== undefined || mode === "navigate" || (dest !== undefined && dest !== "empty" && REFUSED.has(dest))) return problem("navigation_refused");
  const fault = csrf(site, origin, proof);
  if (fault !== undefined) return problem(fault);
  const value = cookie === undefined ? undefined : sessionCookie(cookie);
  if (value === undefined) return unauthenticated();
  if (early !== undefined) return problem("early_data");

  if (connection !== undefined && connection !== "keep-alive") for (const name of connection.split(",")) headers.delete(name.trim());
  if (encoding !== undefined) headers.set("accept-encoding", encodings.of(encoding));
  const rest = url.slice(ORIGIN.length + PREFIX.length);
  const target = rest.charCodeAt(0) === 47 ? UPSTREAM + rest : `${UPSTREAM}/${rest}`;
  const isRepeatable = isSafe || ((method === "PUT" || method === "DELETE") && !hasBody);
  return new Call(method, target, headers, value, hasBody ? request.body : null, isRepeatable);
}

const REFUSED = new Set(
  `document iframe frame fencedframe embed object serviceworker script style worker sharedworker
  audioworklet paintworklet xslt`.split(/\s+/),
);

function csrf(site, origin, proof) {
  if (site === "same-origin" && (origin === undefined || origin === ORIGIN)) return undefined;
  if (site === "same-site") return "csrf_same_site";
  if (site === "cross-site" || site === "none") return "csrf_cross_site";
  if (origin !== undefined) return origin === ORIGIN ? undefined : "csrf_origin";
  return proof === "1" ? undefined : "csrf_header_missing";
}

const NAME = env.COOKIE;

/** The session's cookie. Where it is longer than a cookie may be it comes in two: `name.0`, `name.1`. */
function sessionCookie(cookies) {
  const whole = one(cookies, `${NAME}=`);
  if (whole !== undefined) return whole;
  const first = one(cookies, `${NAME}.0=`);
  const second = first === undefined ? undefined : one(cookies, `${NAME}.1=`);
  return second === undefined ? undefined : first + second;
}

/** A cookie's value; one that comes twice, or behind a comma, is none. */
function one(cookies, name) {
  const at = cookies.indexOf(name);
  if (at < 0 || cookies.indexOf(name, at + 1) >= 0) return undefined;
  if (at > 0 && (cookies.charCodeAt(at - 1) !== 32 || cookies.charCodeAt(at - 2) !== 59)) return undefined;
  const end = cookies.indexOf(";", at);
  return cookies.slice(at + name.length, end < 0 ? undefined : end);
}
