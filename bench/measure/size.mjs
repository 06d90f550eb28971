// What is uploaded: the modules of a side, as they are and as gzip makes them.

import { gzipSync } from "node:zlib";

export function sizes(sides) {
  return Object.fromEntries(
    sides.map(({ letter, workerd }) => {
      const parts = Object.values(workerd.program.modules).map((contents) => Buffer.from(contents));
      const sum = (of) => parts.reduce((total, part) => total + of(part), 0) / 1024;
      return [letter, { raw: sum((part) => part.length), gzip: sum((part) => gzipSync(part).length) }];
    }),
  );
}
