// The wasm instance: made, entered, and made anew after a trap, because a trapped instance answers every
// later call of every user with an error.

import * as core from "./core/tokenkeep.js";
import wasm from "./core/tokenkeep_bg.wasm";

core.initSync({ module: wasm });

// Which wasm instance is the current one, and whether it has trapped.
export let generation = 0;
export let poisoned = false;
// The generation that the Worker half is configured in. (The halves share no state: objects.mjs has its own.)
let workerConfigured = -1;
// Where sessions are kept ("durable" or "kv"), and where objects live, as the Worker half knows it.
export let store = "";
export let jurisdiction = "";

// A trap inside a Rust future reaches no catch: only this event tells.
addEventListener("error", (event) => noteTrap(event.error));
addEventListener("unhandledrejection", (event) => noteTrap(event.reason));

export function noteTrap(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return false;
  if (!poisoned) console.error(JSON.stringify({ level: "error", event: "trapped", generation }));
  poisoned = true;
  return true;
}

// Before every entry into wasm; never with wasm frames on the stack.
export function enter() {
  if (!poisoned) return;
  core.__wbg_reset_state();
  generation += 1;
  poisoned = false;
}

// What the core may know of the environment: our variables and secrets, names of bindings and of what
// may be a variable of ours misspelt, flags.
export function environmentText(env) {
  const bindings = Object.keys(env).filter((name) => env[name] !== null && typeof env[name] === "object" && name !== "TOKENKEEP");
  const flags = globalThis.Cloudflare?.compatibilityFlags ?? {};
  return JSON.stringify({
    tokenkeep: env.TOKENKEEP ?? null,
    overrides: env.TOKENKEEP_OVERRIDES ?? null,
    routes: env.TOKENKEEP_ROUTES ?? null,
    client_secret: env.CLIENT_SECRET ?? null,
    session_keys: env.SESSION_KEYS ?? null,
    name_key: env.NAME_KEY ?? null,
    admin_secret: env.ADMIN_SECRET ?? null,
    bindings,
    variables: Object.keys(env).filter((name) => name.startsWith("TOKENKEEP_") && typeof env[name] === "string"),
    compatibility_flags: Object.keys(flags).filter((name) => flags[name]),
  });
}

export function enterWorkerHalf(env) {
  enter();
  if (workerConfigured === generation) return;
  [store, jurisdiction] = core.configure_worker(environmentText(env), generation).split("\n");
  workerConfigured = generation;
}

// A promise of the core settles, or the trap that keeps it from settling is seen. The timer belongs
// to the caller's own context: another request's timer could not wake this one.
export function settled(promise, limit) {
  const mine = generation;
  let timer;
  const watch = new Promise((_, reject) => {
    let waited = 0;
    timer = setInterval(() => {
      waited += 100;
      if (poisoned || generation !== mine || waited >= limit) reject(new Error("the core did not settle"));
    }, 100);
  });
  return Promise.race([promise, watch]).finally(() => clearInterval(timer));
}
