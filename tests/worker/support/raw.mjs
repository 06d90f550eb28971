// HTTP without a helpful client: what is written is what leaves. Node's `fetch` overwrites
// `Sec-Fetch-Mode` and normalises paths, and both are what these tests are about.

import { randomInt } from "node:crypto";
import http from "node:http";
import https from "node:https";
import net from "node:net";

/** An answer, read whole. `headers` keeps every line, in order; names are lower case. */
export class Answer {
  constructor(status, headers, body) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  /** The only value of a header, or several joined as the Fetch standard joins them. */
  header(name) {
    const all = this.all(name);
    return all.length === 0 ? null : all.join(", ");
  }

  all(name) {
    return this.headers.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
  }

  get text() {
    return this.body.toString("utf8");
  }

  get json() {
    return JSON.parse(this.text);
  }

  /** The stable code of a problem of ours, or null. */
  get code() {
    return this.header("tokenkeep-error");
  }
}

/**
 * One request over a connection of its own. The path goes out byte for byte; nothing is followed,
 * nothing unpacked, no header added but `Host` and `Connection`.
 */
export function send(origin, { method = "GET", path = "/", headers = {}, body, ca, onRequest, timeout = 30_000 } = {}) {
  const url = new URL(origin);
  const client = url.protocol === "https:" ? https : http;
  const list = Array.isArray(headers) ? headers : Object.entries(headers);
  const sent = new Headers2(list);
  sent.setDefault("Host", url.host);
  if (body !== undefined && typeof body.pipe !== "function" && !sent.has("transfer-encoding")) {
    sent.setDefault("Content-Length", String(Buffer.byteLength(body)));
  }
  return new Promise((resolve, reject) => {
    const request = client.request(
      { host: url.hostname, port: url.port, method, path, headers: sent.flat(), agent: false, ca, setHost: false, timeout },
      (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => resolve(new Answer(response.statusCode, pairs(response.rawHeaders), Buffer.concat(chunks))));
      },
    );
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    onRequest?.(request);
    if (body !== undefined && typeof body.pipe === "function") body.pipe(request);
    else request.end(body);
  });
}

class Headers2 {
  constructor(list) {
    this.list = list.filter(([, value]) => value !== undefined && value !== null);
  }

  has(name) {
    return this.list.some(([key]) => key.toLowerCase() === name.toLowerCase());
  }

  setDefault(name, value) {
    if (!this.has(name)) this.list.push([name, value]);
  }

  flat() {
    return this.list.flatMap(([name, value]) => [name, String(value)]);
  }
}

function pairs(raw) {
  const list = [];
  for (let i = 0; i < raw.length; i += 2) list.push([raw[i].toLowerCase(), raw[i + 1]]);
  return list;
}

/**
 * Bytes on a socket, and the answer's: for request lines and headers that no client library sends.
 * Resolves with null where the server closed without an answer.
 */
export function sendBytes(origin, bytes, timeout = 10_000) {
  const url = new URL(origin);
  return new Promise((resolve, reject) => {
    const chunks = [];
    const socket = net.connect(Number(url.port), url.hostname, () => socket.write(bytes));
    socket.setTimeout(timeout, () => socket.destroy(new Error("no answer on the socket")));
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      const answer = parse(Buffer.concat(chunks));
      if (answer) {
        resolve(answer);
        socket.destroy();
      }
    });
    socket.on("error", (error) => (error.code === "ECONNRESET" ? resolve(null) : reject(error)));
    socket.on("close", () => resolve(parse(Buffer.concat(chunks), true)));
  });
}

// A whole response, or null while something is missing. `closed` ends a body that has no length.
function parse(bytes, closed = false) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const lines = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const status = Number(lines[0].split(" ")[1]);
  const headers = lines.slice(1).map((line) => {
    const at = line.indexOf(":");
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
  });
  const rest = bytes.subarray(end + 4);
  const value = (name) => headers.find(([key]) => key === name)?.[1];
  if (value("transfer-encoding")?.toLowerCase() === "chunked") {
    const body = dechunk(rest);
    return body ? new Answer(status, headers, body) : null;
  }
  const length = value("content-length");
  if (length !== undefined) return rest.length >= Number(length) || closed ? new Answer(status, headers, rest) : null;
  return closed || status === 204 || status === 304 ? new Answer(status, headers, rest) : null;
}

function dechunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.subarray(at, line).toString("latin1"), 16);
    if (size === 0) return Buffer.concat(parts);
    if (bytes.length < line + 2 + size + 2) return null;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

/**
 * A port that nobody listens on at this moment. Below those that a system gives to outgoing
 * connections: one of these could take it before it is listened on.
 */
export async function freePort(host = "127.0.0.1") {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = net.createServer();
    try {
      await new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
    } catch (error) {
      if (error.code === "EADDRINUSE") continue;
      throw error;
    }
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
