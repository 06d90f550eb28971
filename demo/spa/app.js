// The demo's page. It asks Tokenkeep who is signed in, calls its API under /api, and sends the browser
// to /auth/login and away again. There is no token in it, and no code that knows of one.

const $ = (id) => document.getElementById(id);

class Problem extends Error {}
class SignedOut extends Error {}

/**
 * A call, and what its failure means for the person who reads. `Tokenkeep-Error` tells Tokenkeep's
 * answers from the API's own; its problem+json says in plain words what is wrong and what to do.
 */
async function call(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Problem("Nothing answers. Is the connection there?");
  }
  if (response.ok) return response.json();
  const code = response.headers.get("Tokenkeep-Error");
  if (code === "unauthenticated") throw new SignedOut();
  if (code !== null) {
    const { title, detail } = await response.json().catch(() => ({}));
    throw Object.assign(new Problem(`${[title, detail].filter(Boolean).join(". ") || "That didn't work."} (${code})`), { code });
  }
  if (response.status === 401) throw new Problem("The orders API doesn't accept the token that came with this call. Sign out and in again.");
  if (response.status === 422) throw new Problem("The orders API doesn't take this order: it wants a name and 1 to 99 of it.");
  throw new Problem(`The orders API answered ${response.status}.`);
}

let signedIn = false;

async function refresh() {
  try {
    const session = await call("/auth/session");
    signedIn = session.authenticated === true;
    if (signedIn) {
      showPerson(session);
      await Promise.all([showOrders(), showDevices()]);
    } else {
      showSignedOut("");
    }
  } catch (error) {
    fail(error);
  }
  await prove();
}

/** Somebody may have signed in or out meanwhile, here or elsewhere. Looking doesn't count as use. */
async function lookAgain() {
  try {
    const { authenticated } = await call("/auth/session?touch=false");
    if (signedIn && !authenticated) showSignedOut("You were signed out: in another tab, from another device or at the provider. Or your session has ended.");
    else if (!signedIn && authenticated) return await refresh();
  } catch (error) {
    fail(error);
  }
  return prove({ ask: false });
}

function showPerson({ user = {}, expires_at: expiresAt }) {
  const name = user.name ?? user.preferred_username ?? user.sub ?? "somebody";
  $("name").textContent = name;
  $("email").textContent = user.email ?? "";
  $("initial").textContent = name.slice(0, 1).toUpperCase();
  $("session").textContent = expiresAt ? `Signed in until ${when(expiresAt)} at the latest.` : "";
  state("signed-in");
}

function showSignedOut(why) {
  signedIn = false;
  $("sign-in").href = `/auth/login?return_to=${encodeURIComponent(location.pathname + location.search)}`;
  $("orders").replaceChildren();
  $("devices").replaceChildren();
  $("devices-said").textContent = "";
  tell(why);
  state("signed-out");
}

function state(name) {
  document.body.dataset.state = name;
  $("signed-in").hidden = $("who").hidden = name !== "signed-in";
  $("signed-out").hidden = name !== "signed-out";
}

async function showOrders(fresh) {
  const { orders } = await call("/api/orders");
  $("no-orders").hidden = orders.length > 0;
  $("orders").replaceChildren(
    ...orders.toReversed().map(({ id, item, quantity, placed_at: placed }) =>
      element("li", { className: id === fresh ? "fresh" : "" }, [
        element("span", { className: "count", textContent: `${quantity} ×` }),
        element("b", { textContent: item }),
        element("time", { dateTime: placed, textContent: when(placed) }),
      ]),
    ),
  );
}

$("place").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const placed = await call("/api/orders", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ item: form.item.value, quantity: form.quantity.valueAsNumber }),
    });
    form.reset();
    tell("");
    await showOrders(placed.id);
  } catch (error) {
    fail(error);
  } finally {
    button.disabled = false;
  }
  await prove();
});

/** The list of the person's sessions, this one first. Their ids mean something in it and nowhere else. */
async function showDevices() {
  const { sessions } = await call("/auth/sessions");
  $("end-others").hidden = sessions.length < 2;
  $("devices").replaceChildren(
    ...sessions.map(({ id, current, device, created_at: created, last_seen_at: seen }) => {
      const name = device.slice(0, 1).toUpperCase() + device.slice(1);
      const since = `Since ${when(created)}`;
      const end = element("button", { className: "quiet", type: "button", textContent: "Sign out", ariaLabel: `Sign out ${name}, ${since.toLowerCase()}` });
      end.addEventListener("click", () => endSessions({ id }, `${name} is signed out.`));
      return element("li", {}, [
        element("span", {}, [
          element("b", { textContent: name }),
          element("small", {}, [element("span", { textContent: since }), ...(seen ? [", ", element("span", { textContent: `last seen ${when(seen)}` })] : [])]),
        ]),
        current ? element("span", { className: "pill", textContent: "This device" }) : end,
      ]);
    }),
  );
}

async function endSessions(which, said) {
  const buttons = [$("end-others"), ...$("devices").querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    const { pending } = await call("/auth/sessions/end", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(which) });
    await sayOfDevices(pending > 0 ? "It is on its way out, and gone in a minute." : said);
  } catch (error) {
    if (error.code === "device_unknown") await sayOfDevices("That one had ended already.").catch(fail);
    else fail(error);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

/** The list anew. The button that had the focus is gone, so its heading gets it. */
async function sayOfDevices(said) {
  await showDevices();
  $("devices-said").textContent = said;
  $("devices-title").focus();
}

$("end-others").addEventListener("click", () => endSessions({ others: true }, "You are signed out everywhere else."));

// The provider's own session ends too: Tokenkeep gives a one-time address of its own that leads there.
$("sign-out").addEventListener("click", async () => {
  try {
    const { logout_url: next } = await call("/auth/logout", { method: "POST" });
    location.assign(next ?? "/");
  } catch (error) {
    fail(error);
  }
});

$("again").addEventListener("click", () => prove());

/** Back on the page: the list of devices may be another by now. */
async function backAgain() {
  await lookAgain();
  if (signedIn) await showDevices().catch(fail);
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") backAgain();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) backAgain();
});
// Who is signed out from elsewhere would learn of it at the next call. Here it shows by itself.
setInterval(() => {
  if (signedIn && document.visibilityState === "visible") lookAgain();
}, 15_000);

/** The panel: what the thief has, beside what the API says it received. */
async function prove({ ask = true } = {}) {
  let received;
  if (signedIn && ask) {
    try {
      received = await call("/api/whoami");
    } catch (error) {
      fail(error);
    }
  }
  const { loot, calls, found } = await window.thief();
  const rows = Object.entries(loot).map(([place, entries]) => row(place, entries.map(([key]) => key).join(", "), found.includes(place)));
  const last = calls.findLast(({ url }) => url.startsWith("/api/")) ?? calls.at(-1);
  rows.push(row("fetch", last ? `${last.method} ${last.url}: ${headerNames(last.sent)} sent, ${headerNames(last.got)} back` : "", found.includes("fetch"), "no token"));
  $("loot").replaceChildren(...rows.flat());
  $("verdict").dataset.found = found.length > 0 ? "yes" : "no";
  $("verdict").textContent = found.length > 0 ? `A token is in reach: ${found.join(", ")}` : "Nothing to steal";
  $("tap-count").textContent = `(${calls.length})`;
  $("taps").replaceChildren(...calls.toReversed().map(tap));
  if (received !== undefined) showReceived(received);
  else if (!signedIn) $("received").replaceChildren(element("p", { className: "empty", textContent: "Sign in, and this shows the same call at its other end." }));
}

function row(place, text, bad, good = "nothing") {
  return [
    element("dt", {}, [element("code", { textContent: place })]),
    element("dd", {}, [
      element("span", { className: bad ? "pill bad" : "pill", textContent: bad ? "token" : text === "" || good !== "nothing" ? good : "no token" }),
      ...(text === "" ? [] : [element("small", { textContent: text })]),
    ]),
  ];
}

const headerNames = (pairs) => `${pairs.length} header${pairs.length === 1 ? "" : "s"}`;

function tap({ method, url, status, sent, got }) {
  const list = (label, pairs) => element("p", {}, [
    element("b", { textContent: label }),
    element("code", { textContent: pairs.length === 0 ? "no header in sight" : pairs.map(([name, value]) => `${name}: ${value}`).join("\n") }),
  ]);
  return element("li", {}, [element("code", { className: "line", textContent: `${method} ${url} → ${status || "…"}` }), list("sent", sent), list("back", got)]);
}

function showReceived({ method, path, authorization, cookie, header_names: names, subject }) {
  const lines = [
    ["request", [element("code", { textContent: `${method} ${path}` })]],
    ["authorization", [
      element("code", { textContent: `${authorization.scheme} ${authorization.starts_with}${"•".repeat(10)}` }),
      element("small", { textContent: `an access token of ${authorization.length} characters, its signature checked` }),
    ]],
    ["cookie", [element("span", { className: cookie ? "pill bad" : "pill", textContent: cookie ? "arrived" : "none" })]],
    ["subject", [element("code", { textContent: subject })]],
    ["headers", [element("small", { textContent: names.join(", ") })]],
  ];
  $("received").replaceChildren(
    element("dl", { className: "loot" }, lines.flatMap(([label, content]) => [element("dt", {}, [element("code", { textContent: label })]), element("dd", {}, content)])),
  );
}

function fail(error) {
  if (error instanceof SignedOut) return showSignedOut("Your session has ended. Sign in to go on.");
  if (!(error instanceof Problem)) throw error;
  if (document.body.dataset.state === "loading") state("signed-out");
  return tell(error.message);
}

function tell(text) {
  $("notice").textContent = text;
  $("notice").hidden = text === "";
}

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A time of any of the usual kinds, short and in the reader's own way. */
function when(time) {
  const date = new Date(typeof time === "number" && time < 1e12 ? time * 1000 : time);
  const sameDay = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, sameDay ? { timeStyle: "short" } : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

await refresh();
