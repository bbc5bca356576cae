// The patient page: charts, and the parts of the page fetched anew when a prediction of this patient arrives.
import { drawCharts } from "./charts.js";
import { Live, oneAtATime } from "./live.js";

drawCharts(document);
document.addEventListener("htmx:afterSettle", () => drawCharts(document));

const line = document.querySelector("[data-live]");
if (line) {
  new Live(line, oneAtATime(async () => {
    for (const part of document.querySelectorAll("[data-live-part]")) {
      const address = part.id === "panels" ? part.dataset.address + location.search : part.dataset.address;
      if (part.dataset.fresh !== "1") { part.dataset.fresh = "1"; continue; }   // the page itself has just brought it
      await window.htmx.ajax("GET", address, { target: part, swap: "innerHTML" });
    }
  }, 2500));
}
