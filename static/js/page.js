// What every page has: menus that close, an address to copy, filters that apply themselves, folds that are remembered.
const memory = {
  get(key) { try { return sessionStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(key, value); } catch { /* nothing to remember with */ } },
};

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const copy = event.target.closest("[data-copy-address]");
  if (copy) copyAddress(copy);
  const fold = event.target.closest("[data-fold]");
  if (fold) setFold(fold, fold.getAttribute("aria-expanded") === "true");
  const reload = event.target.closest("[data-reload]");
  if (reload) location.reload();
});

// A part fetched because somebody clicked keeps the session alive; one that the page fetches by itself does not.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.triggeringEvent?.isTrusted) event.detail.headers["X-By-Hand"] = "1";
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form && event.target.matches("select")) form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form[data-autosubmit]")) {       // an address without empty fields is one a person can read
    for (const field of form.querySelectorAll("select, input")) if (!field.value) field.disabled = true;
  }
  if (form.matches("form[data-once]")) {             // a run is started once, however often the button is pressed
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  }
});

async function copyAddress(button) {
  const words = button.lastChild;
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    words.textContent = " Copied";
  } catch {
    words.textContent = " Copy it from the address line";
  }
  setTimeout(() => { words.textContent = before; }, 2500);
}

export function setFold(button, folded) {
  const body = document.getElementById(button.getAttribute("aria-controls"));
  if (!body) return;
  body.hidden = folded;
  button.setAttribute("aria-expanded", String(!folded));
  button.firstChild.textContent = folded ? "Show" : "Collapse";
  memory.set(`fold:${button.dataset.fold}`, folded ? "1" : "");
}

export function restoreFolds(root = document) {
  for (const button of root.querySelectorAll("[data-fold]")) if (memory.get(`fold:${button.dataset.fold}`)) setFold(button, true);
  for (const details of root.querySelectorAll("details[data-keep]")) {
    details.open = Boolean(memory.get(`open:${details.dataset.keep}`));
    details.addEventListener("toggle", () => memory.set(`open:${details.dataset.keep}`, details.open ? "1" : ""));
  }
}

document.addEventListener("htmx:afterSwap", (event) => restoreFolds(event.target));
document.addEventListener("htmx:responseError", (event) => corner(event.detail.xhr.status === 403
  ? "You may not see this any more. Reload the page."
  : `The server answered with an error (${event.detail.xhr.status}). What you see is unchanged; try again.`));
document.addEventListener("htmx:sendError", () => corner("The server cannot be reached. What you see is unchanged; try again."));

export function corner(text, link) {
  const place = document.getElementById("corner");
  const box = document.createElement("div");
  box.className = "message message--error notice-corner";
  const words = document.createElement("p");
  words.textContent = text;
  box.append(words);
  if (link) {
    const anchor = document.createElement("a");
    anchor.className = "button button--primary";
    anchor.href = link.url;
    anchor.textContent = link.words;
    box.append(anchor);
  } else {
    setTimeout(() => box.remove(), 8000);
  }
  place.replaceChildren(box);
}

restoreFolds();
