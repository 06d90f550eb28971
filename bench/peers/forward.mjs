// What the peers do once they have the session: send the call on, and treat the API's answer as data
// of another origin (Tokenkeep's src/http/response_headers, forward and what follows a 401).

import { env } from "cloudflare:workers";

import { problem } from "./answers.mjs";
import { Kept } from "./kept.mjs";

const { ORIGIN, UPSTREAM } = env;

const NAMES = new Set(
  `accept-ch activate-storage-access alt-svc attribution-reporting-register-source
  attribution-reporting-register-trigger cdn-cache-control clear-site-data cloudflare-cdn-cache-control
  connection content-security-policy-report-only critical-ch expect-ct keep-alive nel
  observe-browsing-topics proxy-authenticate proxy-authentication-info proxy-connection
  public-key-pins public-key-pins-report-only refresh report-to reporting-endpoints
  sec-session-challenge sec-session-registration secure-session-challenge secure-session-registration
  service-worker-allowed set-cookie set-cookie2 set-login speculation-rules strict-transport-security
  surrogate-control te tokenkeep-error trailer transfer-encoding upgrade use-as-dictionary`.split(/\s+/),
);
const [GOES_ON, DROPPED, CACHE, VARY, LOCATION, CHALLENGE, CONNECTION] = Array(7).keys();
const KNOWN = new Map([
  ["cache-control", CACHE],
  ["vary", VARY],
  ["location", LOCATION],
  ["www-authenticate", CHALLENGE],
  ["connection", CONNECTION],
]);
const names = new Kept((name) => KNOWN.get(name) ?? (NAMES.has(name) || name.startsWith("access-control-") ? DROPPED : GOES_ON));

const privately = new Kept((said) => {
  const words = said.toLowerCase().split(",").map((word) => word.trim());
  if (words.some((word) => word.split("=")[0] === "no-store")) return "no-store";
  return ["private", ...words.filter((word) => !/^(?:|public|private|s-maxage|proxy-revalidate)(?:=|$)/.test(word))].join(", ");
});

const variously = new Kept((said) => {
  const words = said.split(",").map((word) => word.trim().toLowerCase());
  if (said.trim() === "") return "Cookie";
  return words.includes("cookie") ? said : words.includes("*") ? "*" : `${said}, Cookie`;
});

/** Sends the call on with the session's token. */
export function forward(call, session) {
  const { headers, method, body } = call;
  headers.set("authorization", session.authorization);
  const init = { method, headers, redirect: "manual", cache: "no-store" };
  if (body !== null) init.body = body;
  return fetch(call.url, init).then((response) => relayed(response, call, session), unreachable);
}

const unreachable = () => problem("upstream_unreachable");

function relayed(response, call, session) {
  const { status } = response;
  if (status < 200) return problem("upstream_status_invalid");
  if (status === 401 && isToBeRenewed(call, session)) return renewed(response, call, session);
  const answer = new Response(response.body, response);
  const { headers } = answer;
  let cache = "private, no-cache";
  let vary = "Cookie";
  for (const [name, value] of response.headers) {
    switch (names.of(name)) {
      case GOES_ON: break;
      case CACHE: cache = privately.of(value); break;
      case VARY: vary = variously.of(value); break;
      case LOCATION: {
        const location = mapped(value, call.url);
        if (location !== undefined) headers.set("location", location);
        else if (status >= 300 && status < 400) return problem("upstream_redirect_refused");
        else headers.delete("location");
        break;
      }
      case CHALLENGE: if (/basic|digest|negotiate|ntlm/i.test(value)) headers.delete(name); break;
      case CONNECTION:
        for (const named of value.split(",")) headers.delete(named.trim());
        headers.delete(name);
        break;
      default: headers.delete(name);
    }
  }
  headers.set("cache-control", cache);
  headers.set("vary", vary);
  headers.set("x-content-type-options", "nosniff");
  headers.set("cross-origin-resource-policy", "same-origin");
  headers.set("content-security-policy", "sandbox");
  return answer;
}

/** A token that isn't young, on a call that can be sent again. */
function isToBeRenewed(call, session) {
  return call.isRepeatable && !call.isRenewed && Date.now() - session.issued >= (session.expires - session.issued) / 4;
}

/** Once more with another token. The bench's tokens are never that old: a peer has no provider to ask. */
async function renewed(response, call, session) {
  call.isRenewed = true;
  const another = await session.renew?.();
  if (another === undefined) return relayed(response, call, session);
  await response.body?.cancel();
  return forward(call, another);
}

/** Where a redirect of the API's leads: below our own path, or to a foreign origin as it is. */
function mapped(location, url) {
  if (!URL.canParse(location, url)) return undefined;
  const target = new URL(location, url);
  if (!/^https?:$/.test(target.protocol) || target.username !== "" || target.password !== "") return undefined;
  return target.origin === UPSTREAM ? `/api${target.pathname}${target.search}${target.hash}` : location;
}

/** Where a login would set the cookie: the bench hands the tokens in. */
export async function handedIn(request, keep) {
  if (request.method !== "POST" || request.url !== `${ORIGIN}/auth/callback`) return undefined;
  return new Response(await keep(await request.json()));
}
