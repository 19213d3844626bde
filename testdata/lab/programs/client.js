// Clients on Node's http module.
//
//   node client.js MODE URL N [PAUSE_MS]
//
// keepalive   one agent, connections kept
// keepalive-blind  the same, deaf to the server's Keep-Alive: timeout
// parallel    keepalive, four requests at a time
// wide        the same, up to twelve at a time
// fresh       a new agent without keep-alive for each request
// destroy     keep-alive asked for, the socket destroyed after each response
// expect      Expect: 100-continue with a small body
const http = require("http");
const [mode, url, n, pause] = process.argv.slice(2);

const agent = new http.Agent({ keepAlive: mode !== "fresh", maxSockets: { parallel: 4, wide: 12 }[mode] ?? 1 });

if (mode === "keepalive-blind") {
  // Node's agent takes a second off the advertised time-out; agents of other
  // makes do not look at it.
  agent.keepSocketAlive = (socket) => { socket.setKeepAlive(true, 1000); socket.unref(); return true; };
}

function once(i) {
  return new Promise((resolve) => {
    const headers = mode === "expect" ? { Expect: "100-continue", "Content-Length": 5 } : {};
    const req = http.request(url, { agent, headers, method: mode === "expect" ? "POST" : "GET" }, (res) => {
      res.resume();
      res.on("end", () => {
        if (mode === "destroy") req.socket.destroy();
        setTimeout(resolve, Number(pause || 0));
      });
    });
    req.on("error", (e) => { console.log(i, e.code); resolve(); });
    if (mode === "expect") req.on("continue", () => req.end("hello"));
    else req.end();
  });
}

async function main() {
  if (mode === "parallel" || mode === "wide") await Promise.all(Array.from({ length: Number(n) }, (_, i) => once(i)));
  else for (let i = 0; i < Number(n); i++) await once(i);
  agent.destroy();
}

main();
