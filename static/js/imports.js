// Sends the chosen file with its progress shown; without this script the form is sent like any other.
const form = document.querySelector("form[data-upload]");

function chosenFile() { return form.querySelector("[name=file]").files[0]; }

function words(loaded, total) {
  const size = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`);
  return loaded < total ? `${size(loaded)} of ${size(total)} sent` : "Sent. It is looked at …";
}

form?.addEventListener("change", (event) => {
  const from = { file: "sent", chosen: "root" }[event.target.name];
  if (from) form.querySelector(`[name=from][value=${from}]`).checked = true;
});

form?.addEventListener("submit", (event) => {
  if (form.querySelector("[name=from]:checked").value !== "sent" || !chosenFile()) return;
  event.preventDefault();
  const shown = form.querySelector("[data-upload-progress]");
  const bar = shown.querySelector("progress");
  const said = shown.querySelector("[data-upload-words]");
  const button = form.querySelector("button[type=submit]");
  const request = new XMLHttpRequest();
  const over = (html) => {
    document.getElementById("import-error").innerHTML = html;
    shown.hidden = true;
    button.disabled = false;
    document.getElementById("import-error").scrollIntoView({ block: "center" });
  };
  request.upload.addEventListener("progress", (move) => {
    bar.value = move.total ? (100 * move.loaded) / move.total : 0;
    said.textContent = words(move.loaded, move.total);
  });
  request.addEventListener("load", () => {
    const to = request.getResponseHeader("HX-Redirect");
    if (to) location.assign(to);
    else if (request.status === 200) over(request.responseText);
    else over('<div class="message message--error" role="alert"><p>The server did not take the file. Reload the page and try again.</p></div>');
  });
  request.addEventListener("error", () => over('<div class="message message--error" role="alert"><p>The file did not arrive: the connection was lost. Try again.</p></div>'));
  request.open("POST", form.action);
  request.setRequestHeader("HX-Request", "true");
  shown.hidden = false;
  button.disabled = true;
  said.textContent = "Sending …";
  request.send(new FormData(form));
});
