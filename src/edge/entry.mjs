// The entry of the built Worker; with the modules beside it the only JavaScript in the data's way.
//
// It hands heads to the core as text, or the number of a pass and a URL (passes.mjs), does what the core's
// plan says (forward, ask the session's object, answer), and streams bodies natively. It decides nothing itself. It also owns the wasm
// instance (instance.mjs).

import { fail } from "./answers.mjs";
import { Call } from "./call.mjs";
import { enterWorkerHalf } from "./instance.mjs";

export { SessionObject, SubjectObject } from "./objects.mjs";

export default {
  fetch(request, env, ctx) {
    try {
      enterWorkerHalf(env);
      return new Call(request, env, ctx).begin();
    } catch (error) {
      return fail(error, request, env);
    }
  },
};
