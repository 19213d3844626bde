// A TCP peer that follows a script of steps; rawpeer.py documents the language
// (without tls, rcvbuf and parallel).
//
//   node rawpeer.js connect HOST PORT [connections:N] [every:MS] STEP...
//   node rawpeer.js listen HOST PORT STEP...
const net = require("net");

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const ended = new Error("ended");

class Peer {
  constructor(sock) {
    this.sock = sock;
    this.buf = Buffer.alloc(0);
    this.over = false;
    this.wake = () => {};
    sock.on("data", (d) => { this.buf = Buffer.concat([this.buf, d]); this.wake(); });
    for (const e of ["end", "error", "close"]) sock.on(e, () => { this.over = true; this.wake(); });
  }
  async until(test) {
    while (!test()) {
      if (this.over) throw ended;
      await new Promise((r) => (this.wake = r));
    }
  }
  async head() {
    await this.until(() => this.buf.includes("\r\n\r\n"));
    const at = this.buf.indexOf("\r\n\r\n");
    const head = this.buf.subarray(0, at).toString("latin1");
    this.buf = this.buf.subarray(at + 4);
    return head;
  }
  async bytes(n) {
    await this.until(() => this.buf.length >= n);
    this.buf = this.buf.subarray(n);
  }
  write(data) {
    if (this.sock.destroyed) throw ended;
    return new Promise((r) => this.sock.write(data, "latin1", r));
  }
  async run(steps) {
    for (let i = 0; i < steps.length; i++) {
      const colon = steps[i].indexOf(":");
      const word = colon < 0 ? steps[i] : steps[i].slice(0, colon);
      const arg = colon < 0 ? "" : steps[i].slice(colon + 1);
      if (word === "repeat") {
        let end = i + 1;
        for (let depth = 1; depth > 0; end++) {
          if (steps[end].startsWith("repeat:")) depth++;
          if (steps[end] === "done") depth--;
        }
        for (let n = 0; n < Number(arg); n++) await this.run(steps.slice(i + 1, end - 1));
        i = end - 1;
        continue;
      }
      await this.step(word, arg);
    }
  }
  async step(word, arg) {
    switch (word) {
      case "send": {
        const text = arg.replace(/\\(.)/g, (_, c) => ({ r: "\r", n: "\n" }[c] ?? c));
        return this.write(text);
      }
      case "fill": return this.write("x".repeat(Number(arg)));
      case "sleep": return sleep(Number(arg));
      case "head": return this.head();
      case "message": {
        const m = /^content-length: *(\d+)/im.exec(await this.head());
        return m && this.bytes(Number(m[1]));
      }
      case "bytes": return this.bytes(Number(arg));
      case "eof": return this.until(() => this.over);
      case "fin": return new Promise((r) => this.sock.end(r));
      case "reset": this.sock.resetAndDestroy(); throw ended;
      case "close": throw ended;
      case "nodelay": this.sock.setNoDelay(true); return;
      case "nagle": this.sock.setNoDelay(false); return;
    }
    console.error("unknown step " + word);
    process.exit(1);
  }
  async play(steps) {
    try {
      await this.run(steps);
    } catch (e) {
      if (e !== ended && !e.code) throw e;
    }
    // destroy rather than end: it closes as close(2) does.
    this.sock.destroy();
  }
}

async function main() {
  const [mode, host, port, ...steps] = process.argv.slice(2);
  const options = { connections: 1, every: 0 };
  while (steps.length && steps[0].split(":")[0] in options) {
    const [word, arg] = steps.shift().split(":");
    options[word] = Number(arg);
  }
  if (mode === "listen") {
    net.createServer({ allowHalfOpen: true }, (s) => new Peer(s).play(steps)).listen(Number(port), host);
    return;
  }
  for (let n = 0; n < options.connections; n++) {
    const sock = net.connect({ port: Number(port), host, allowHalfOpen: true });
    await new Promise((resolve, reject) => sock.once("connect", resolve).once("error", reject));
    await new Peer(sock).play(steps);
    await sleep(options.every);
  }
}

main();
