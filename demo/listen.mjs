// Listens on the loopback addresses that "localhost" means.
//
// A browser tries ::1 first, workerd may try 127.0.0.1: a server on one of the two alone answers some
// of them. A machine without IPv6 gets 127.0.0.1 alone.

import http from "node:http";
import https from "node:https";

/**
 * Starts one server on 127.0.0.1 and ::1, on the same port.
 *
 * @param {import("node:http").RequestListener} handler
 * @param {{ port?: number, tls?: { key: string, cert: string } }} options port 0 (default): any free one
 * @returns {Promise<{ port: number, stop(): Promise<void> }>}
 */
export async function listen(handler, { port = 0, tls } = {}) {
  // A connection is kept for long: Node closes one after five seconds without a word, and a request that
  // sets out in that very moment is lost.
  const options = { ...tls, keepAliveTimeout: 600_000 };
  const make = () => (tls ? https.createServer(options, handler) : http.createServer(options, handler));
  const first = make();
  await bind(first, port, "127.0.0.1");
  const bound = first.address().port;
  const servers = [first];
  const second = make();
  try {
    await bind(second, bound, "::1");
    servers.push(second);
  } catch (error) {
    if (error.code === "EADDRINUSE") {
      first.close();
      // Somebody else's port on ::1: with a free choice another one will do.
      if (port === 0) return listen(handler, { port, tls });
      throw error;
    }
  }
  return {
    port: bound,
    stop: () =>
      Promise.all(
        servers.map(
          (server) =>
            new Promise((done) => {
              server.close(() => done());
              server.closeAllConnections();
            }),
        ),
      ).then(() => undefined),
  };
}

function bind(server, port, host) {
  return new Promise((done, failed) => {
    server.once("error", failed);
    server.listen(port, host, () => {
      server.off("error", failed);
      done();
    });
  });
}
