// Asks the objects of sessions and subjects, or what stands for them over KV.

import * as core from "./core/tokenkeep.js";
import { enterWorkerHalf, jurisdiction, settled, store } from "./instance.mjs";

// Asks an object, in the jurisdiction `where`, if any; one that restarted under the call is asked once more, on a fresh stub. No command
// does harm when it is delivered twice. (The second delivery of a logout whose first reply was lost has
// no logout URL to give: the session here has ended, the provider's stays.)
export function ask(binding, where, name, text) {
  const once = () => (where ? binding.jurisdiction(where) : binding).getByName(name).command(text);
  try {
    return once().catch(once);
  } catch (error) {
    return Promise.reject(error);
  }
}

export const asker = (binding, where) => (name, text) => ask(binding, where, name, text);

// How the Worker half reaches sessions and subjects.
export function askers(env, ctx) {
  if (store !== "kv") return [env.SESSIONS, env.SUBJECTS].map((binding) => asker(binding, jurisdiction));
  return [core.ask_kv, core.ask_kv_subject].map((entry) => (_name, text) => askKv(env, ctx, entry, text).catch(() => askKv(env, ctx, entry, text)));
}

// A session in KV has no object: the core runs its machine here. What the command leads to after its
// reply (a refresh ahead of time, a revocation) goes on, and so does the command when the client leaves.
// One that the core trapped under is asked once more, as an object is.
async function askKv(env, ctx, entry, text) {
  // The endpoint that asks is wasm, and may be on the stack.
  await undefined;
  enterWorkerHalf(env);
  return new Promise((resolve, reject) => {
    const done = settled(entry(env.SESSIONS_KV, text, resolve), 60_000);
    ctx.waitUntil(done.then(() => reject(new Error("the core gave no reply")), reject));
  });
}
