// A reverse proxy as many write their first one: the incoming headers go out
// as they came, hop-by-hop ones included.
//
//   node relay.js PORT UPSTREAM_HOST UPSTREAM_PORT [via]
//
// via adds a Via field to each request.
const http = require("http");
const [port, host, upstreamPort, via] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

http.createServer((req, res) => {
  const url = req.url.replace(/^http:\/\/[^/]+/, "");
  if (via) req.headers.via = "1.1 relay";
  const out = http.request({ agent, host, port: upstreamPort, method: req.method, path: url, headers: req.headers }, (answer) => {
    res.writeHead(answer.statusCode, answer.headers);
    answer.pipe(res);
  });
  out.on("error", () => res.destroy());
  req.pipe(out);
}).listen(Number(port), "::");
