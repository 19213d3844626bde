// One workload on Node's http and https, with connection reuse or without.
//
//   node workload.js with|without URL N
//
// N GETs one after the other; each body is read.
const [what, url, n] = process.argv.slice(2);
const web = require(url.startsWith("https:") ? "https" : "http");
const agent = new web.Agent({ keepAlive: what === "with", maxSockets: 1, rejectUnauthorized: false });

const once = () => new Promise((resolve, reject) => {
  web.get(url, { agent }, (res) => { res.resume(); res.on("end", resolve); }).on("error", reject);
});

(async () => {
  for (let i = 0; i < Number(n); i++) await once();
  agent.destroy();
})();
