// The bench's own processes: the upstream and the load.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const start = (file) => fork(fileURLToPath(new URL(file, import.meta.url)), { serialization: "advanced" });

/** The API behind every side; gives its URL. */
export async function startUpstream() {
  const child = start("./upstream.mjs");
  const [{ port }] = await once(child, "message");
  return { url: `http://127.0.0.1:${port}`, pid: child.pid, stop: () => child.disconnect() };
}

/** The load. */
export function startLoad() {
  const child = start("./load.mjs");
  /** An order to it; waits for the result, which no order takes two minutes for. */
  const tell = async (order, how = {}) => {
    child.send({ order, ...how });
    const [{ result, failed }] = await once(child, "message", { signal: AbortSignal.timeout(120_000) });
    if (failed !== undefined) throw new Error(failed);
    return result;
  };
  return { tell, pid: child.pid, stop: () => child.disconnect() };
}
