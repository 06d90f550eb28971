// A browser as far as cookies, redirects and Fetch Metadata go; no scripts, no rendering.
//
// It does what the standards say a browser does (Fetch Metadata §2, RFC 6265bis §5), so a test that
// passes here and fails in Chromium is a fault of this file. Cookies know no ports; sites do not
// either: `localhost:1` and `localhost:2` are same-site, `127.0.0.1` is another site.

import { send } from "./raw.mjs";

const FOLLOWED = new Set([301, 302, 303, 307, 308]);

export class Browser {
  /** `ca`: certificates that it trusts beside the usual ones; `userAgent`: what it says it is, if anything. */
  constructor({ ca, userAgent } = {}) {
    this.ca = ca;
    this.userAgent = userAgent;
    this.cookies = [];
    /** Every request and answer of this browser, oldest first; `leaks.test.mjs` reads all of it. */
    this.trail = [];
    /** What has answered instead of the network, by origin (`dispatchFetch` for https). */
    this.networks = new Map();
  }

  /**
   * A top-level navigation, redirects followed. `from` is the origin of the page that began it:
   * null is the address bar. Returns the last answer with `url`, and `hops`.
   */
  async navigate(url, { method = "GET", form, from = null, headers = {}, stopAt } = {}) {
    const chain = [];
    let current = new URL(url);
    let body = form === undefined ? undefined : new URLSearchParams(form).toString();
    let verb = method;
    const hops = [];
    for (let hop = 0; hop < 20; hop += 1) {
      chain.push(current.origin);
      const site = fetchSite(from, chain);
      const list = [
        ["Accept", "text/html,application/xhtml+xml,*/*;q=0.8"],
        ["Sec-Fetch-Site", site],
        ["Sec-Fetch-Mode", "navigate"],
        ["Sec-Fetch-Dest", "document"],
        ["Sec-Fetch-User", "?1"],
        ["Upgrade-Insecure-Requests", "1"],
      ];
      if (verb !== "GET" && verb !== "HEAD") list.push(["Origin", redirectTainted(from, chain) ? "null" : (from ?? "null")]);
      if (body !== undefined) list.push(["Content-Type", "application/x-www-form-urlencoded"]);
      const sameSite = from === null || siteOf(from) === siteOf(current.origin);
      const answer = await this.exchange(current, { method: verb, headers: override(list, headers), body, sameSite, topLevel: true });
      hops.push({ method: verb, url: current.href, status: answer.status, location: answer.header("location") });
      const location = answer.header("location");
      if (!FOLLOWED.has(answer.status) || location === null || stopAt?.(new URL(location, current), answer)) {
        answer.url = current.href;
        answer.hops = hops;
        return answer;
      }
      const before = current;
      current = new URL(location, current);
      if (current.hash === "") current.hash = before.hash;
      if (answer.status === 303 || ((answer.status === 301 || answer.status === 302) && verb === "POST")) {
        verb = verb === "HEAD" ? "HEAD" : "GET";
        body = undefined;
      }
    }
    throw new Error(`too many redirects: ${hops.map((hop) => hop.url).join(" → ")}`);
  }

  /** What a script on a page of `page` gets from `fetch(path)`; redirects are not followed. */
  async fetch(page, target, { method = "GET", headers = {}, body, onRequest, credentials = true, timeout } = {}) {
    const url = new URL(target, page);
    const site = fetchSite(page, [url.origin]);
    const list = [
      ["Accept", "*/*"],
      ["Sec-Fetch-Site", site],
      ["Sec-Fetch-Mode", "cors"],
      ["Sec-Fetch-Dest", "empty"],
    ];
    if ((method !== "GET" && method !== "HEAD") || url.origin !== page) list.push(["Origin", page]);
    return this.exchange(url, {
      method,
      headers: override(list, headers),
      body,
      sameSite: siteOf(page) === siteOf(url.origin),
      topLevel: false,
      credentials,
      onRequest,
      timeout,
      rawPath: typeof target === "string" && target.startsWith("/") ? target : undefined,
    });
  }

  async exchange(url, { method, headers, body, sameSite, topLevel, credentials = true, onRequest, timeout, rawPath }) {
    const cookie = credentials ? this.cookieHeader(url, { method, sameSite, topLevel }) : "";
    const list = [...headers];
    if (cookie !== "") list.push(["Cookie", cookie]);
    if (this.userAgent !== undefined) list.push(["User-Agent", this.userAgent]);
    const path = rawPath ?? url.pathname + url.search;
    const network = this.networks.get(url.origin) ?? send;
    const answer = await network(url.origin, { method, path, headers: list, body, ca: this.ca, onRequest, timeout });
    for (const line of answer.all("set-cookie")) this.store(url, line);
    this.trail.push({ method, url: url.origin + path, headers: list, body, answer });
    return answer;
  }

  cookieHeader(url, { method, sameSite, topLevel }) {
    const now = Date.now();
    return this.cookies
      .filter((cookie) => cookie.host === url.hostname && cookie.expires > now)
      .filter((cookie) => url.pathname === cookie.path || url.pathname.startsWith(cookie.path.endsWith("/") ? cookie.path : `${cookie.path}/`))
      .filter((cookie) => !cookie.secure || trustworthy(url))
      .filter((cookie) => sameSite || cookie.sameSite === "none" || (cookie.sameSite === "lax" && topLevel && (method === "GET" || method === "HEAD")))
      .map((cookie) => `${cookie.name}=${cookie.value}`)
      .join("; ");
  }

  store(url, line) {
    const [pair, ...attributes] = line.split(";").map((part) => part.trim());
    const at = pair.indexOf("=");
    const cookie = {
      name: pair.slice(0, at),
      value: pair.slice(at + 1),
      host: url.hostname,
      path: url.pathname.slice(0, Math.max(1, url.pathname.lastIndexOf("/"))),
      expires: Number.POSITIVE_INFINITY,
      sameSite: "lax",
      secure: false,
      httpOnly: false,
      line,
    };
    let domain = false;
    for (const attribute of attributes) {
      const [name, value = ""] = attribute.split(/=(.*)/s);
      switch (name.toLowerCase()) {
        case "path":
          cookie.path = value.startsWith("/") ? value : cookie.path;
          break;
        case "max-age":
          cookie.expires = Number(value) <= 0 ? 0 : Date.now() + Number(value) * 1000;
          break;
        case "expires":
          if (cookie.expires === Number.POSITIVE_INFINITY) cookie.expires = Date.parse(value);
          break;
        case "samesite":
          cookie.sameSite = value.toLowerCase();
          break;
        case "secure":
          cookie.secure = true;
          break;
        case "httponly":
          cookie.httpOnly = true;
          break;
        case "domain":
          domain = true;
          break;
      }
    }
    // A browser drops these without a word (RFC 6265bis §5.7): here it is an error, because
    // nobody in these tests means to send one.
    const prefix = cookie.name.toLowerCase();
    if (prefix.startsWith("__host-") && !(cookie.secure && cookie.path === "/" && !domain)) throw new Error(`a browser refuses ${line}`);
    if (prefix.startsWith("__host-http-") && !cookie.httpOnly) throw new Error(`a browser refuses ${line}`);
    if (cookie.sameSite === "none" && !cookie.secure) throw new Error(`a browser refuses ${line}`);
    if (cookie.secure && !trustworthy(url)) throw new Error(`a browser refuses ${line} over ${url.protocol}`);
    if (cookie.name.length + cookie.value.length > 4096) throw new Error(`a browser drops a cookie of ${cookie.value.length} bytes`);
    this.cookies = this.cookies.filter((other) => !(other.name === cookie.name && other.host === cookie.host && other.path === cookie.path));
    if (cookie.expires > Date.now()) this.cookies.push(cookie);
  }

  /** What `document.cookie` would give a script on a page of `origin`. */
  documentCookie(origin) {
    const { hostname } = new URL(origin);
    return this.cookies.filter((cookie) => cookie.host === hostname && !cookie.httpOnly).map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
  }

  /** The session cookie of the Worker at `origin`, or undefined. */
  sessionCookie(origin) {
    const { hostname } = new URL(origin);
    return this.cookies.find((cookie) => cookie.host === hostname && isSession(cookie.name));
  }

  /** The cookies of logins under way. */
  transactionCookies(origin) {
    const { hostname } = new URL(origin);
    return this.cookies.filter((cookie) => cookie.host === hostname && /tokenkeep.*login/.test(cookie.name) && !/attempt/.test(cookie.name));
  }

  /** A second browser that has the same cookies: a second tab, or a thief's copy. */
  copy() {
    const other = new Browser({ ca: this.ca, userAgent: this.userAgent });
    other.cookies = this.cookies.map((cookie) => ({ ...cookie }));
    other.networks = this.networks;
    other.trail = this.trail;
    return other;
  }

  /** Fills in and sends the page's (first) form, as a person would. */
  async submit(page, values = {}) {
    const form = firstForm(page.text);
    if (!form) throw new Error(`no form on ${page.url}:\n${page.text.slice(0, 600)}`);
    const fields = { ...form.fields };
    for (const [name, value] of Object.entries(values)) fields[name] = value;
    for (const [name, type] of Object.entries(form.types)) {
      if (type === "password" && values.password !== undefined) fields[name] = values.password;
    }
    const action = new URL(form.action || page.url, page.url);
    const from = new URL(page.url).origin;
    if (form.method === "post") return this.navigate(action, { method: "POST", form: fields, from });
    action.search = new URLSearchParams(fields).toString();
    return this.navigate(action, { from });
  }
}

/** Whether a cookie's name is the session cookie's: with the prefix, or on loopback with the port. */
export function isSession(name) {
  return /^(__Host-Http-tokenkeep|tokenkeep-\d+)$/.test(name);
}

// The first form of a page of the provider's or ours: flat HTML, no script, quoted attributes.
function firstForm(html) {
  const match = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html);
  if (!match) return null;
  const fields = {};
  const types = {};
  for (const [, attributes] of match[2].matchAll(/<(?:input|button)\b([^>]*)>/gi)) {
    const name = attribute(attributes, "name");
    const type = attribute(attributes, "type") ?? "text";
    if (name === null) continue;
    if (["checkbox", "radio"].includes(type) && !/\bchecked\b/i.test(attributes)) continue;
    fields[name] = attribute(attributes, "value") ?? "";
    types[name] = type;
  }
  return { action: attribute(match[1], "action"), method: (attribute(match[1], "method") ?? "get").toLowerCase(), fields, types };
}

function attribute(text, name) {
  const match = new RegExp(`\\b${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, "i").exec(text);
  const value = match?.[1] ?? match?.[2] ?? match?.[3];
  return value === undefined ? null : value.replaceAll("&amp;", "&").replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
}

function siteOf(origin) {
  const url = new URL(origin);
  return `${url.protocol}//${url.hostname}`;
}

// Fetch Metadata §2.2: the worst of all origins on the way; `none` for the address bar.
function fetchSite(from, chain) {
  if (from === null) return "none";
  let site = "same-origin";
  for (const origin of chain) {
    if (siteOf(from) !== siteOf(origin)) return "cross-site";
    if (from !== origin) site = "same-site";
  }
  return site;
}

// Fetch §"redirect-tainted origin": an Origin that went through a third party is `null`.
function redirectTainted(from, chain) {
  return chain.length > 1 && chain.slice(0, -1).some((origin) => origin !== from) && chain[chain.length - 1] !== chain[chain.length - 2];
}

function trustworthy(url) {
  return url.protocol === "https:" || url.hostname === "localhost" || url.hostname === "127.0.0.1";
}

function override(list, headers) {
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  return [...list.filter(([name]) => !names.has(name.toLowerCase())), ...Object.entries(headers).filter(([, value]) => value !== null)];
}
