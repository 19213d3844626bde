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
// A printed page has nothing to click on.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const d of closed) d.open = true;
});
addEventListener("afterprint", () => {
  for (const d of closed) d.open = false;
});
