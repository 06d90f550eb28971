// The long run's table, and what it ran on.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";

/** Date, machine and versions. */
export function machine() {
  const { version } = createRequire(import.meta.url)("workerd/package.json");
  return {
    date: new Date().toISOString().slice(0, 19),
    cores: os.availableParallelism(),
    memory_gb: Math.round(os.totalmem() / 2 ** 30),
    system: release() ?? `${os.type()} ${os.release()}`,
    node: process.versions.node,
    workerd: version,
  };
}

/** The run as Markdown. */
export function table({ date, cores, memory_gb, system, node, workerd, seed, size, rows }) {
  return [
    `${date.replace("T", " ")} UTC, ${size} run, seed \`${seed}\`; ${cores} cores, ${memory_gb} GB, ${system}, workerd ${workerd}, Node ${node}.`,
    "",
    "| case | rounds | calls | token requests | what went wrong | sessions lost | figures |",
    "|---|---|---|---|---|---|---|",
    ...rows.map((row) => (row.failed === undefined ? line(row) : `| **${row.row}** | – | – | – | – | – | FAILED: ${row.failed.split("\n")[0]} |`)),
  ].join("\n");
}

function line({ row, rounds, calls, requests, faults, lost, figures }) {
  return `| ${[row, number(rounds), number(calls), number(requests), kinds(faults), list(lost) || "0", list(figures)].join(" | ")} |`;
}

/** Many kinds that are as many each are told in one number. */
function kinds(faults) {
  const counts = new Set(Object.values(faults));
  const all = Object.keys(faults).length;
  return all > 5 && counts.size === 1 ? `${number([...counts][0])} each of ${all} kinds` : list(faults) || "–";
}

/** `{ a: 1, b: { c: 2 } }` is "a 1, b (c 2)". */
function list(counts) {
  return Object.entries(counts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${Array.isArray(value) ? value.map(number).join(" → ") : typeof value === "object" ? `(${list(value) || "none"})` : number(value)}`)
    .join(", ");
}

const number = (value) => (typeof value === "number" ? value.toLocaleString("en") : String(value));

function release() {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  } catch {
    return undefined;
  }
}
