// An upstream that tells exactly what reached it, and answers exactly what a test wants.

import { createHash } from "node:crypto";
import http from "node:http";

/**
 * @returns {Promise<{url: string, port: number, seen: object[], answers: Map, stop(): Promise<void>}>}
 *   `seen`: every request, with raw target, raw headers, length and SHA-256 of its body, oldest first;
 *   `answers`: path → (req, res, record) that answers in place of `{}`
 */
export async function startUpstream() {
  const seen = [];
  const answers = new Map();
  const server = http.createServer({ insecureHTTPParser: true, maxHeaderSize: 256 * 1024 }, async (req, res) => {
    const record = {
      method: req.method,
      url: req.url,
      headers: req.headers,
      pairs: pairs(req.rawHeaders),
      bytes: 0,
      hash: undefined,
    };
    seen.push(record);
    const answer = answers.get(req.url.split("?")[0]);
    const hash = createHash("sha256");
    if (answer?.early) return void answer.early(req, res, record);
    try {
      for await (const chunk of req) {
        record.bytes += chunk.length;
        hash.update(chunk);
      }
    } catch {
      record.cut = true;
      return;
    }
    record.hash = hash.digest("hex");
    if (answer) return void answer(req, res, record);
    res.writeHead(200, { "content-type": "application/json" });
    res.end(JSON.stringify({ url: req.url, method: req.method }));
  });
  server.on("upgrade", (req, socket) => {
    seen.push({ method: req.method, url: req.url, headers: req.headers, pairs: pairs(req.rawHeaders), upgrade: true });
    socket.destroy();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    answers,
    /** Answers with these headers (pairs, duplicates kept) and body. */
    reply(path, status, headers = [], body = "") {
      answers.set(path, (_req, res) => {
        res.writeHead(status, headers.flat());
        res.end(body);
      });
    },
    /** The values of a header of a request, one entry a line. */
    values: (record, name) => record.pairs.filter(([key]) => key === name).map(([, value]) => value),
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

function pairs(raw) {
  const list = [];
  for (let i = 0; i < raw.length; i += 2) list.push([raw[i].toLowerCase(), raw[i + 1]]);
  return list;
}
