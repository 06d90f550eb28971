// The request that is timed, byte for byte: what Chrome sends for a `fetch` of the page's own.

/**
 * @param {object} side with `port` and `cookies`
 * @param {object} [how]
 * @param {string} [how.path] below the API's
 * @param {number} [how.length] of a body that a POST brings
 * @param {string} [how.site] `Sec-Fetch-Site`
 * @param {boolean} [how.session] whether the session's cookie comes along
 * @param {string[]} [how.more] further lines
 */
export function requestText({ port, cookies }, { path = "/bytes/1024", length, site = "same-origin", session = true, more = [] } = {}) {
  const host = `localhost:${port}`;
  const sent = [["theme", "dark"], ...(session ? cookies : [])].map((pair) => pair.join("="));
  return [
    `${length === undefined ? "GET" : "POST"} /api${path} HTTP/1.1`,
    `Host: ${host}`,
    "Connection: keep-alive",
    ...(length === undefined ? [] : [`Content-Length: ${length}`, "Content-Type: application/octet-stream", `Origin: http://${host}`]),
    'sec-ch-ua: "Chromium";v="156", "Not A(Brand";v="24"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "Accept: application/json",
    `Sec-Fetch-Site: ${site}`,
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    `Referer: http://${host}/orders`,
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9",
    `Cookie: ${sent.join("; ")}`,
    ...more,
    "\r\n",
  ].join("\r\n");
}

/** The handshake of a WebSocket of the page's own. */
export function handshake({ port, cookies }) {
  const host = `localhost:${port}`;
  return {
    path: "/api/echo",
    headers: {
      Host: host,
      Origin: `http://${host}`,
      "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
      "Sec-Fetch-Site": "same-origin",
      "Sec-Fetch-Mode": "websocket",
      "Sec-Fetch-Dest": "websocket",
      Cookie: cookies.map((pair) => pair.join("=")).join("; "),
    },
  };
}
