// The risk board: fetches the rows that changed, drawn by the same partial, and puts each into its lane.
import { Live, oneAtATime } from "./live.js";

const board = document.querySelector("[data-board]");
const line = document.querySelector("[data-live]");
const voice = document.getElementById("board-voice");

if (board && line) new Live(line, oneAtATime(refresh));

async function refresh() {
  const address = new URL(board.dataset.changes, location.href);
  address.searchParams.set("since", board.dataset.since);
  const answer = await fetch(address, { headers: { "HX-Request": "true" }, credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return;
  const news = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-news]");
  if (!news) return;
  board.dataset.since = news.dataset.since;
  for (const slug of (news.dataset.gone || "").split(" ").filter(Boolean)) document.getElementById(`row-${slug}`)?.remove();
  const spoken = [];
  for (const row of [...news.querySelectorAll(".strip-item")]) {
    const moved = place(row);
    if (moved) spoken.push(moved);
  }
  for (const part of news.querySelectorAll("[data-part]")) {
    const here = document.querySelector(`[data-part="${part.dataset.part}"]`);
    if (here) here.replaceChildren(...part.childNodes);
  }
  for (const count of news.querySelectorAll("[data-count-of]")) {
    for (const here of document.querySelectorAll(`[data-lane-count="${count.dataset.countOf}"]`)) here.textContent = count.textContent;
  }
  for (const lane of board.querySelectorAll("[data-lane-box]")) tidy(lane, news);
  if (spoken.length && voice) voice.textContent = spoken.slice(0, 3).join(". ");
}

/** Put one row where its lane and its sort key say; returns a sentence when it changed to high or critical. */
function place(row) {
  const old = document.getElementById(row.id);
  const list = board.querySelector(`[data-lane-rows="${row.dataset.lane}"]`);
  if (!list) { old?.remove(); return null; }
  const focused = old?.contains(document.activeElement);
  const changed = old && old.dataset.lane !== row.dataset.lane;
  old?.remove();
  const key = Number(row.dataset.sort);
  const after = [...list.children].find((other) => Number(other.dataset.sort) < key);
  list.insertBefore(row, after || null);
  if (focused) row.querySelector("a")?.focus({ preventScroll: true });
  if (!changed) return null;
  row.classList.add("is-new");
  setTimeout(() => row.classList.remove("is-new"), 60000);
  return ["critical", "high"].includes(row.dataset.lane) ? row.querySelector("article").getAttribute("aria-label") : null;
}

function tidy(lane, news) {
  const level = lane.dataset.laneBox;
  const rows = lane.querySelector("[data-lane-rows]");
  const limit = Number(lane.dataset.limit) || Infinity;
  while (rows.children.length > limit) rows.lastElementChild.remove();
  lane.querySelector("[data-lane-empty]").hidden = rows.children.length > 0;
  const more = news.querySelector(`[data-more-of="${level}"]`);
  if (!more) return;
  lane.querySelector("[data-lane-foot]").hidden = !more.textContent;
  lane.querySelector("[data-lane-more]").textContent = more.textContent;
}
