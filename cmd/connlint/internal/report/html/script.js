"use strict";
for (const b of document.querySelectorAll("button[data-copies]")) {
  const from = document.getElementById(b.dataset.copies);
  b.hidden = false;
  b.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(from.textContent);
      b.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(from);
      b.textContent = "selected";
    }
  });
}
const findings = [...document.querySelectorAll("details.finding")];
const all = document.getElementById("all");
if (all) {
  all.hidden = false;
  all.addEventListener("click", () => {
    const open = findings.some((d) => !d.open);
    for (const d of findings) d.open = open;
    all.textContent = open ? "close all" : "open all";
  });
}
// A link to a finding shows it.
const show = () => {
  const d = findings.find((d) => "#" + d.id === location.hash);
  if (d) d.open = true;
};
addEventListener("hashchange", show);
show();
// A printed page has nothing to click on.
let closed = [];
addEventListener("beforeprint", () => {
  closed = findings.filter((d) => !d.open && d.querySelector(".ladder"));
  for (const d of closed) d.open = true;
});
addEventListener("afterprint", () => {
  for (const d of closed) d.open = false;
});
