// The peers' own answers, made once: application/problem+json with a stable code, as Tokenkeep's.

import { env } from "cloudflare:workers";

const STATUS = {
  origin_unknown: 421,
  path_ambiguous: 400,
  request_malformed: 400,
  not_found: 404,
  method_not_allowed: 405,
  upgrade_not_supported: 501,
  body_not_allowed: 400,
  navigation_refused: 403,
  csrf_same_site: 403,
  csrf_cross_site: 403,
  csrf_origin: 403,
  csrf_header_missing: 403,
  early_data: 425,
  unauthenticated: 401,
  upstream_unreachable: 502,
  upstream_redirect_refused: 502,
  upstream_status_invalid: 502,
};

const made = new Map(Object.entries(STATUS).map(([code, status]) => [code, prepared(code, status)]));

function prepared(code, status) {
  const more = code === "unauthenticated" ? { login_url: `${env.ORIGIN}/auth/login` } : {};
  const headers = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-type": "application/problem+json",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "tokenkeep-error": code,
  };
  return { body: JSON.stringify({ type: `urn:bench:problem:${code}`, status, code, ...more }), init: { status, headers: new Headers(headers) } };
}

export function problem(code) {
  const { body, init } = made.get(code);
  return new Response(body, init);
}

export const unauthenticated = () => problem("unauthenticated");
