// What is uploaded.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { BUILD } from "./support/worker.mjs";

const MOST_KB = 350;

test(`the built Worker is at most ${MOST_KB} KB, gzip`, (t) => {
  const kb = readdirSync(BUILD).map((file) => gzipSync(readFileSync(path.join(BUILD, file))).length / 1024);
  const all = kb.reduce((sum, each) => sum + each, 0);
  t.diagnostic(`${all.toFixed(1)} KB`);
  assert.ok(all > 100 && all <= MOST_KB, `${all} KB`);
});
