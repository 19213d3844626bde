// Servers on Node's http module, each with one habit.
//
//   node server.js PORT [HABIT]
//
// (none)      answers every request, with Content-Length
// chunked     answers in three chunks
// no-length   takes the framing fields away and closes
// websocket   also accepts Upgrade: websocket, echoes frames, then closes
// short-idle  closes idle connections after 1 s
// broken-promise  the same, but says Keep-Alive: timeout=60
const http = require("http");
const crypto = require("crypto");
const [port, habit] = process.argv.slice(2);

const server = http.createServer((req, res) => {
  req.resume();
  req.on("end", () => {
    const body = `${req.method} ${req.url}\n`;
    if (habit === "chunked") {
      res.write(body);
      setTimeout(() => res.write(body), 20);
      setTimeout(() => res.end(body), 40);
      return;
    }
    if (habit === "no-length") {
      res.removeHeader("Transfer-Encoding");
      res.removeHeader("Connection");
      res.removeHeader("Content-Length");
      res.useChunkedEncodingByDefault = false;
      res.write(body);
      res.end(() => res.socket && res.socket.end());
      return;
    }
    if (habit === "broken-promise") {
      res.setHeader("Connection", "keep-alive");
      res.setHeader("Keep-Alive", "timeout=60");
    }
    res.setHeader("Content-Length", Buffer.byteLength(body));
    res.end(body);
  });
});

if (habit === "short-idle" || habit === "broken-promise") server.keepAliveTimeout = 1000;

server.on("upgrade", (req, socket) => {
  if (habit !== "websocket") return socket.destroy();
  const accept = crypto.createHash("sha1")
    .update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.on("data", () => socket.write(Buffer.from([0x81, 5, 104, 101, 108, 108, 111])));
  socket.on("end", () => socket.end());
  socket.on("error", () => {});
});

server.listen(Number(port), "::");
