// What a person sees of the demo's provider: sign-in, sign-out, errors. No script but the one line
// that sends the sign-out form; everything inline, so that a page is one response.

import { createHash } from "node:crypto";

/** Sends the form that the page is about. Its hash stands in the page's CSP. */
const SUBMIT = "document.getElementById('op.logoutForm').submit()";
const SUBMIT_HASH = `'sha256-${createHash("sha256").update(SUBMIT).digest("base64")}'`;

const STYLE = `
:root{color-scheme:light dark;--page:#f4f1ea;--card:#fffdf8;--ink:#25211a;--soft:#6c6455;--line:#ddd5c5;--brand:#a8431f;--on:#fff;--bad:#9d1c1c;--badbg:#fbe9e6}
@media(prefers-color-scheme:dark){:root{--page:#191713;--card:#221f1a;--ink:#efe9dd;--soft:#a99f8d;--line:#3b362d;--brand:#f09a6f;--on:#2a1206;--bad:#ffb4a8;--badbg:#43201b}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:1.25rem;background:var(--page);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{width:100%;max-width:25rem}
.mark{display:flex;align-items:center;gap:.6rem;margin:0 0 1rem .25rem;font-weight:650;letter-spacing:-.01em}
.mark svg{width:1.75rem;height:1.75rem;flex:none}
.mark small{margin-left:auto;font-weight:400;color:var(--soft);font-size:.8125rem;font-family:ui-monospace,monospace}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1.75rem 1.5rem;box-shadow:0 1px 2px #0000000d,0 12px 32px -16px #0000002b}
h1{margin:0 0 .35rem;font-size:1.5rem;line-height:1.2;letter-spacing:-.02em}
p{margin:0 0 1.25rem;color:var(--soft)}p b{color:var(--ink);font-weight:600}
label{display:block;font-weight:550;margin:0 0 .3rem}
input{width:100%;font:inherit;color:inherit;background:var(--page);border:1px solid var(--line);border-radius:9px;padding:.65rem .75rem;margin:0 0 1rem;min-height:2.75rem}
button{width:100%;font:inherit;font-weight:600;min-height:2.85rem;border-radius:9px;border:1px solid transparent;background:var(--brand);color:var(--on);cursor:pointer}
button.quiet{background:none;color:var(--ink);border-color:var(--line);margin-top:.6rem}
button:hover{filter:brightness(1.07)}
:focus-visible{outline:3px solid var(--brand);outline-offset:2px}
.bad{color:var(--bad);background:var(--badbg);border-radius:9px;padding:.6rem .75rem;margin:0 0 1rem}
.note{margin:1rem .25rem 0;font-size:.875rem}
code{font-family:ui-monospace,SFMono-Regular,monospace;font-size:.9em;color:var(--ink)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0;font-size:.9375rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
`;

const LANTERN = `<svg viewBox="0 0 32 32" aria-hidden="true"><path fill="none" stroke="var(--brand)" stroke-width="2.2" stroke-linejoin="round" stroke-linecap="round" d="M12 6a4 4 0 0 1 8 0M9 10h14l2 15H7zM6 28h20"/><path fill="var(--brand)" d="M16 13c3 3.500 3 5 2.600 6.300a2.700 2.700 0 0 1-5.200 0C13 18 13 16.500 16 13z"/></svg>`;

/** Headers of every page here. `formAction`: where a form may lead, its redirects included. */
export function headers(formAction = []) {
  return {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy":
      `default-src 'none'; style-src 'unsafe-inline'; script-src ${SUBMIT_HASH}; base-uri 'none'; ` +
      `frame-ancestors 'none'; form-action ${["'self'", ...formAction].join(" ")}`,
  };
}

/** The sign-in form. */
export function signIn({ action, issuer, client, site, username = "", wrong = false, users }) {
  return page(`Sign in · Lantern`, issuer, `
    <div class="card">
      <h1>Sign in</h1>
      <p><b>${text(client)}</b>${site ? ` at <code>${text(site)}</code>` : ""} wants to know who you are.</p>
      ${wrong ? `<div class="bad" role="alert" id="wrong">That user and password don't belong together.</div>` : ""}
      <form method="post" action="${text(action)}">
        <label for="username">User</label>
        <input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required value="${text(username)}"${wrong ? ' aria-describedby="wrong"' : " autofocus"}>
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required${wrong ? " autofocus" : ""}>
        <button type="submit">Sign in</button>
      </form>
    </div>
    <p class="note">For this demo: ${users.map(({ username: u, password }) => `<code>${text(u)}</code> / <code>${text(password)}</code>`).join(" or ")}</p>`);
}

/** Sent on at once: the application proved with its ID token whose session it ends. */
export function signOutAtOnce({ issuer, form }) {
  return page("Signing out · Lantern", issuer, `
    <div class="card"><h1>Signing out…</h1><p>One moment.</p>
      ${form.replace("</form>", '<input type="hidden" name="logout" value="yes"></form>')}
      <noscript><button type="submit" form="op.logoutForm">Sign out</button></noscript>
    </div><script>${SUBMIT}</script>`);
}

/** Asks first: anybody could have sent the person here. */
export function signOutAsked({ issuer, client, form }) {
  return page("Sign out · Lantern", issuer, `
    <div class="card"><h1>Sign out?</h1>
      <p>${client ? `<b>${text(client)}</b> asks to end your session here.` : "Do you want to end your session here?"}</p>
      ${form}
      <button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>
      <button type="submit" form="op.logoutForm" class="quiet">Stay signed in</button>
    </div>`);
}

/** Where a sign-out ends that names no address to go back to. */
export function signedOut({ issuer }) {
  return page("Signed out · Lantern", issuer, `
    <div class="card"><h1>You are signed out</h1><p>You can close this page.</p></div>`);
}

/** An error of the protocol. `out` is oidc-provider's own list of what was wrong. */
export function failure({ issuer, out }) {
  const rows = Object.entries(out).filter(([, v]) => v !== undefined);
  return page("Something is wrong · Lantern", issuer, `
    <div class="card"><h1>This request can't go on</h1>
      <p>Go back to the application and try again.</p>
      <dl>${rows.map(([k, v]) => `<dt>${text(k)}</dt><dd>${text(v)}</dd>`).join("")}</dl>
    </div>`);
}

function page(title, issuer, content) {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${title}</title><style>${STYLE}</style></head><body><main><div class="mark">${LANTERN}Lantern<small>${text(new URL(issuer).host)}</small></div>${content}</main></body></html>`;
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const text = (value) => String(value ?? "").replace(/[&<>"']/g, (c) => ESCAPES[c]);
