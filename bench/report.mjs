// The run as Markdown: bars and ratios first, absolute figures after them.

import { judged } from "./bars.mjs";
import { ratio } from "./measure/ratio.mjs";
import { NAMES } from "./support/sides.mjs";

/** @param {object} run date, machine, and `calls`, `bodies`, `start`, `size` as far as they were measured */
export function report(run) {
  const { date, cores, memory_gb, system, workerd, node, sizes } = run;
  return [
    `${date.replace("T", " ")} UTC; ${cores} cores, ${memory_gb} GB, ${system}, workerd ${workerd}, Node ${node}${run.calls || run.sockets ? `; ${sizes.processes} processes of each side with ${sizes.rounds} rounds of calls in each` : ""}${run.bodies || run.start ? `; ${sizes.few} rounds of large bodies and starts` : ""}.`,
    section("Bars", ["", "bar", "margin", "this run", ""], judged(run).map((one) => [one.what, one.bar, one.margin, spread(one), one.verdict])),
    ...callTables(run.calls),
    ...socketTables(run.sockets),
    ...bodyTables(run.bodies),
    run.start && section("Start: process to first answer, ms", ["", "beyond (a)'s", "of CPU", "in all", "of CPU"], rows(run.start, ({ more, moreCpu, wall, cpu }) => [more, moreCpu, wall, cpu].map(whole))),
    run.size && section("Bundle, KB", ["", "raw", "gzip"], rows(run.size, ({ raw, gzip }) => [raw, gzip].map(round))),
  ].filter(Boolean).join("\n\n");
}

function callTables(calls) {
  if (calls === undefined) return [];
  const beside = (figures, key, other) => (key === other ? "1" : spread(ratio(figures, key, other)));
  const others = { e: "b", f: "c", g1: "a", g2: "a" };
  const measured = Object.entries(calls).reverse();
  const columns = measured.flatMap(([connections, figures]) => ["a", "b"].map((other) => ({ title: `against (${other}), ${connections} connections`, cell: (key) => beside(figures, key, other) })));
  return [
    section(
      "Calls, 1 KB: CPU of workerd, as ratios (in brackets: where the true one is, 95 in 100)",
      ["", "against its bar's peer, 16 connections", ...columns.map(({ title }) => title)],
      rows(calls[16], (_, key) => [others[key] ? `(${others[key]}) ${beside(calls[16], key, others[key])}` : "", ...columns.map(({ cell }) => cell(key))]),
    ),
    ...measured.map(([connections, figures]) =>
      section(
        `Calls, 1 KB, ${connections} connections`,
        ["", "CPU µs a call", "calls a second", "p50 ms", "p99 ms", "memory after, MB"],
        rows(figures, ({ cpu, rate, p50, p99, rss }) => [whole(cpu), whole(rate), round(p50), round(p99), whole(rss)]),
      ),
    ),
  ];
}

function socketTables(sockets) {
  if (sockets === undefined) return [];
  const { messages, open } = sockets;
  return [
    section(
      "WebSockets: an echo of 200 bytes on 16, and memory for each of 500 that are silent",
      ["", "CPU against (a)", "CPU µs an echo", "echoes a second", "p50 ms", "p99 ms", "KB a socket"],
      rows(messages, ({ cpu, rate, p50, p99 }, key) => [key === "a" ? "1" : spread(ratio(messages, key, "a")), whole(cpu), whole(rate), round(p50), round(p99), whole(open[key] * 1024)]),
    ),
  ];
}

function bodyTables(bodies) {
  if (bodies === undefined) return [];
  const { middle } = bodies;
  return [
    section(
      "Calls, 64 KB, 16 connections",
      ["", "CPU against (a)", "CPU µs a call", "calls a second", "p50 ms", "p99 ms"],
      rows(middle, ({ cpu, rate, p50, p99 }, key) => [key === "a" ? "1" : spread(ratio(middle, key, "a")), whole(cpu), whole(rate), round(p50), round(p99)]),
    ),
    ...["down", "up"].map((way) =>
      section(
        `100 MB ${way}, one connection`,
        ["", "throughput against (a)", "CPU against (a)", "MB/s", "CPU ms", "peak memory, MB", "of it grown"],
        rows(bodies[way], ({ ratio: own, cpuRatio, rate, cpu, peak, grown }) => [round(own), round(cpuRatio), whole(rate), whole(cpu), whole(peak), round(grown)]),
      ),
    ),
  ];
}

const rows = (figures, cells) => Object.entries(figures).map(([key, figure]) => [`(${key}) ${NAMES[key]}`, ...cells(figure, key)]);

function section(title, head, lines) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [`### ${title}`, "", line(head), line(head.map(() => "---")), ...lines.map(line)].join("\n");
}

/** A figure, with its interval where it has one. */
const spread = ({ value, low, high }) => (low === high ? round(value) : `${round(value)} (${round(low)}–${round(high)})`);
const whole = (value) => Math.round(value).toLocaleString("en");
const round = (value) => (Math.abs(value) >= 100 ? whole(value) : String(Math.round(value * 100) / 100));
