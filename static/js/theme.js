// Day or night, before the first paint: the person's choice, else the system's.
(function () {
  "use strict";
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  function show(theme) {
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.setAttribute("aria-pressed", String(theme === "dark"));
      button.setAttribute("aria-label", theme === "dark" ? "Night theme is on; switch to day" : "Switch to the night theme");
      const word = button.querySelector("span");
      if (word) word.textContent = theme === "dark" ? "Day" : "Night";
    }
    document.dispatchEvent(new CustomEvent("portal:theme"));
  }
  show(kept() || (system.matches ? "dark" : "light"));
  system.addEventListener("change", () => { if (!kept()) show(system.matches ? "dark" : "light"); });
  document.addEventListener("DOMContentLoaded", () => show(root.dataset.theme));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", next); } catch { /* a private window keeps nothing: the choice lasts for the page */ }
    show(next);
  });
})();
