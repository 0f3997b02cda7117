"use strict";
// Follows one push. Without this script the page says what was so when it was loaded.
(() => {
  const live = document.getElementById("live");
  if (!live || !live.dataset.events) return;
  const put = (id, text) => { document.getElementById(id).textContent = text; };
  const rows = document.getElementById("hosts");
  const known = new Map([...rows.children].map((row) => [row.dataset.key, row]));
  const LIMIT = 2000;

  const host = (event) => {
    const key = (event.image ?? 0) + " " + event.host;
    let row = known.get(key);
    if (!row) {
      if (known.size >= LIMIT) return;
      row = document.createElement("tr");
      for (let at = 0; at < 3; at++) row.append(document.createElement("td"));
      row.children[0].textContent = event.host;
      known.set(key, row);
      rows.append(row);
    }
    row.children[1].textContent = event.state;
    row.children[2].textContent = event.reason ?? event.cause ?? "";
  };
  const progress = (event) => {
    const percent = Math.min(100, Math.max(0, event.percent ?? 0));
    document.getElementById("bar").value = percent;
    const parts = [Math.round(percent) + " %"];
    if (event.rate_bits_per_second) parts.push((event.rate_bits_per_second / 1e6).toFixed(0) + " Mbit/s");
    if (Number.isFinite(event.eta_seconds)) parts.push(Math.ceil(event.eta_seconds) + " s left");
    put("figures", parts.join(", "));
    put("late", (event.late ?? []).map((late) => late.host + ": " + (late.reason ?? late.state)).join("; "));
  };

  const source = new EventSource(live.dataset.events);
  const on = (kind, act) => source.addEventListener(kind, (message) => {
    try { act(JSON.parse(message.data)); } catch { /* An event of a newer controller is passed over. */ }
  });
  on("host", host);
  on("progress", progress);
  on("status", (event) => {
    if (!["done", "partial", "failed", "cancelled"].includes(event.status)) return;
    source.close();
    location.reload();
  });
})();
