// The one dialog of a page: a part fetched into it opens it. <dialog> keeps the focus inside, closes on Escape, and gives
// the focus back to what opened it.
const dialog = document.getElementById("dialog");

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "dialog-body") return;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
});

dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();            // beside it
});

dialog?.addEventListener("close", () => document.getElementById("dialog-body").replaceChildren());
