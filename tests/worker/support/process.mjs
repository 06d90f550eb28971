// What a process has used, as /proc tells it; undefined where there is no /proc.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

/** Microseconds of CPU, user and system, of all its threads. */
export function cpu(pid) {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(`${tasks}/${pid}/schedstat`)) return undefined;
  return readdirSync(tasks).reduce((sum, task) => sum + Number(told(pid, `task/${task}/schedstat`)?.split(" ")[0] ?? 0), 0) / 1000;
}

/** Megabytes of memory that it holds. */
export function memory(pid) {
  return megabytes(pid, "VmRSS");
}

/** Megabytes of memory that it has held at most, since it began or since `forgetPeak`. */
export function peakMemory(pid) {
  return megabytes(pid, "VmHWM");
}

/** The peak begins anew at what is held now. */
export function forgetPeak(pid) {
  if (existsSync(`/proc/${pid}/clear_refs`)) writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

function megabytes(pid, what) {
  const found = new RegExp(`^${what}:\\s+(\\d+) kB`, "m").exec(told(pid, "status") ?? "")?.[1];
  return found === undefined ? undefined : Number(found) / 1024;
}

function told(pid, file) {
  const where = `/proc/${pid}/${file}`;
  return existsSync(where) ? readFileSync(where, "utf8") : undefined;
}
