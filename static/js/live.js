// The live connection: says honestly whether what stands on the page is fresh.
// States: connecting, live, late (no new prediction for longer than the pace allows), paused (by the person), lost.
import { age, clockTime, longAge } from "./words.js";
import { corner } from "./page.js";

const CLOSED_SIGNED_OUT = 4401;
const CLOSED_NO_ACCESS = 4403;
const LONGEST_WAIT = 30;
const SILENCE = 30;                                 // seconds without a word, when a beat comes every ten: the connection is dead

export class Live {
  /** onChange(): fetch what is new; called after a notice, after a reconnect and when a pause ends. */
  constructor(line, onChange) {
    this.line = line;
    this.onChange = onChange;
    this.word = line.querySelector("[data-live-word]");
    this.sentence = line.querySelector("[data-live-sentence]");
    this.pauseButton = line.querySelector("[data-live-pause]");
    this.retryButton = line.querySelector("[data-live-retry]");
    this.zone = line.dataset.zone;
    this.zoneName = line.dataset.zoneName;
    this.newest = Number(line.dataset.newest) || null;
    this.lateAfter = Number(line.dataset.lateAfter) || 120;
    this.skew = Number(line.dataset.now) - Date.now() / 1000;
    this.tries = 0;
    this.waiting = 0;
    this.paused = false;
    this.connected = false;
    this.lostAt = null;
    this.nextTry = null;
    this.ended = false;
    this.heard = performance.now();
    this.pauseButton.addEventListener("click", () => this.togglePause());
    this.retryButton.addEventListener("click", () => this.connect());
    addEventListener("pagehide", () => { this.ended = true; this.socket?.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted) { this.ended = false; this.connect(); } });
    addEventListener("offline", () => this.lose());
    addEventListener("online", () => { if (!this.connected && !this.ended) this.connect(); });
    this.connect();
    this.timer = setInterval(() => this.look(), 1000);
  }

  now() { return Date.now() / 1000 + this.skew; }

  // A half-open connection closes nothing and says nothing: the absence of beats does.
  look() {
    if (this.connected && performance.now() - this.heard > SILENCE * 1000) this.lose();
    this.show();
  }

  connect() {
    clearTimeout(this.retry);
    this.heard = performance.now();
    this.nextTry = null;
    this.silence();
    const socket = new WebSocket(new URL(this.line.dataset.socket, location.href.replace(/^http/, "ws")));
    this.socket = socket;
    socket.addEventListener("message", (event) => { if (socket === this.socket) this.receive(JSON.parse(event.data)); });
    socket.addEventListener("close", (event) => { if (socket === this.socket) this.lose(event.code); });
  }

  receive(notice) {
    this.heard = performance.now();
    this.skew = notice.now - Date.now() / 1000;
    if (notice.newest) this.newest = Math.max(this.newest || 0, notice.newest);
    if (notice.late_after) this.lateAfter = notice.late_after;
    if (notice.type === "hello") {
      this.connected = true;
      this.lostAt = null;
      this.tries = 0;
      this.fetch();                               // whatever happened while we were away
    } else if (notice.type === "changed") {
      this.waiting += notice.patients || 1;
      this.fetch();
    }
    this.show();
  }

  fetch() {
    if (this.paused) return;
    this.waiting = 0;
    this.onChange();
  }

  lose(code) {
    if (this.ended) return;
    clearTimeout(this.retry);
    this.silence();
    if (this.connected || !this.lostAt) this.lostAt = this.lostAt || this.now();
    this.connected = false;
    const next = encodeURIComponent(location.pathname + location.search);
    if (code === CLOSED_SIGNED_OUT) return this.end("You were signed out.", { url: `/sign-in/?next=${next}`, words: "Sign in and go on" });
    if (code === CLOSED_NO_ACCESS) return this.end("Your access to this trial has ended. Ask your administrator if that is a mistake.", { url: "/", words: "Leave this page" });
    const wait = Math.min(LONGEST_WAIT, 2 ** this.tries) * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.nextTry = this.now() + wait;
    this.retry = setTimeout(() => this.connect(), wait * 1000);
    this.show();
  }

  silence() {
    const socket = this.socket;
    this.socket = null;                             // whatever it still says belongs to the past
    socket?.close();
  }

  end(text, link) {
    this.ended = true;
    this.nextTry = null;
    this.show();
    corner(text, link);
  }

  togglePause() {
    this.paused = !this.paused;
    this.pauseButton.setAttribute("aria-pressed", String(this.paused));
    this.pauseButton.textContent = this.paused ? "Resume and show them" : "Pause updates";
    if (!this.paused) this.fetch();
    this.show();
  }

  state() {
    if (this.lostAt) return "lost";
    if (!this.connected) return "connecting";
    if (this.paused) return "paused";
    if (!this.newest || this.now() - this.newest > this.lateAfter) return "late";
    return "live";
  }

  show() {
    const state = this.state();
    const since = this.newest ? `${clockTime(this.newest, this.zone)} ${this.zoneName}` : null;
    const old = this.newest ? longAge(this.now() - this.newest) : null;
    const words = {
      connecting: ["Connecting", since ? `Last prediction ${since}, ${old} ago` : "No predictions yet"],
      live: ["Live", `Last prediction ${since}, ${old} ago`],
      late: since ? ["Late", `No new predictions since ${since}, ${old} ago`] : ["Waiting", "No predictions yet"],
      paused: ["Paused by you", `As of ${since}; ${this.waiting ? `${this.waiting} change${this.waiting > 1 ? "s wait" : " waits"}` : "nothing new waits"}`],
      lost: [`Connection lost${this.lostAt ? ` at ${clockTime(this.lostAt, this.zone)} ${this.zoneName}` : ""}`,
        this.ended ? "This page is no longer updated." : `You see the state of then.${this.nextTry ? ` Next try in ${Math.max(0, Math.ceil(this.nextTry - this.now()))} s.` : " Trying now."}`],
    }[state];
    this.line.dataset.state = state;
    for (const board of document.querySelectorAll("[data-board]")) board.dataset.state = state;
    if (this.word.textContent !== words[0]) this.word.textContent = words[0];
    this.sentence.textContent = words[1];
    this.retryButton.hidden = state !== "lost" || this.ended;
    this.pauseButton.hidden = state === "lost";
    for (const element of document.querySelectorAll("[data-age]")) {
      if (element.dataset.age) element.textContent = age(this.now() - Number(element.dataset.age));
    }
  }
}

/** Run `work` at once, and again afterwards if it was asked for meanwhile: one request at a time, none forgotten. */
export function oneAtATime(work, pause = 700) {
  let running = false;
  let again = false;
  return async function ask() {
    if (running) { again = true; return; }
    running = true;
    do {
      again = false;
      try { await work(); } catch { /* the next notice, or the reconnect, asks again */ }
      await new Promise((resolve) => setTimeout(resolve, pause));
    } while (again);
    running = false;
  };
}
