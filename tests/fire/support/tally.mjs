// What a case has counted: a row of the report.

export class Tally {
  /** Calls by the status of their answer; 0 is a connection that broke. */
  statuses = {};
  calls = 0;
  /** Sessions that ended without anybody wanting it, by the log's reason. */
  lost = {};
  /** What was made to go wrong, by kind. */
  faults = {};

  answer({ status }) {
    this.calls += 1;
    count(this.statuses, status);
  }

  lose(reason) {
    count(this.lost, reason);
  }

  fault(kind) {
    count(this.faults, kind);
  }

  /** @param {object} more `rounds`, `requests` (token requests) and `figures` of the case's own */
  result(more = {}) {
    const { calls, statuses, lost, faults } = this;
    return { rounds: 0, requests: 0, figures: {}, calls, statuses, lost, faults, ...more };
  }
}

function count(counts, key) {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** Of numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
