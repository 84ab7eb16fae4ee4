// What the monitor's pages do beyond what they say: theme, times, live updates, keyboard.
// Every page is whole without this file. It asks nobody but the monitor that served it.
"use strict";

// Theme: before the first paint, so that nothing flashes.

const kept = {
  get(key, otherwise) {
    try { return localStorage.getItem("celeriac." + key) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { localStorage.setItem("celeriac." + key, value); } catch { /* private windows keep nothing */ }
  },
};

const THEMES = ["system", "light", "dark"];
let theme = kept.get("theme", "system");

function wear() {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
wear();

function nextTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  kept.set("theme", theme);
  wear();
  nameTheme();
  toast(`Theme: ${theme}`);
}

function nameTheme() {
  const button = document.getElementById("theme");
  button.setAttribute("aria-label", `Theme: ${theme}`);
  button.title = `Theme: ${theme}`;
}

// Times: the server writes them in UTC and as of the moment of the answer.

let zone = kept.get("zone", "here");
let ahead = 0; // the server's clock minus ours, in milliseconds

const pad = (number, width = 2) => String(number).padStart(width, "0");

function exact(date, utc) {
  const get = (part) => date[(utc ? "getUTC" : "get") + part]();
  const day = `${get("FullYear")}-${pad(get("Month") + 1)}-${pad(get("Date"))}`;
  const time = `${pad(get("Hours"))}:${pad(get("Minutes"))}:${pad(get("Seconds"))}.${pad(get("Milliseconds"), 3)}`;
  return `${day} ${time} ${utc ? "UTC" : offset(date)}`;
}

function offset(date) {
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const sign = minutes < 0 ? "−" : "+";
  return `${sign}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
}

// The same words as the server's `Ago`.
function relative(milliseconds) {
  const seconds = Math.floor(Math.abs(milliseconds) / 1000);
  const text = seconds < 60 ? `${seconds} s`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
    : seconds < 86400 ? `${Math.floor(seconds / 3600)} h`
    : `${Math.floor(seconds / 86400)} d`;
  return milliseconds < 0 ? `in ${text}` : `${text} ago`;
}

function tellTimes(root = document) {
  const now = Date.now() + ahead;
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.dataset.exact = exact(date, zone === "utc");
    if (time.classList.contains("ago")) setText(time, relative(now - date.getTime()));
    if (time.classList.contains("clock")) setText(time, time.dataset.exact.slice(11, 23));
    if (time.classList.contains("minute")) setText(time, time.dataset.exact.slice(11, 16));
    if (time.classList.contains("day")) setText(time, time.dataset.exact.slice(5, 16));
    if (time.classList.contains("full")) setText(time, time.dataset.exact);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function nextZone() {
  zone = zone === "utc" ? "here" : "utc";
  kept.set("zone", zone);
  tellTimes();
  toast(zone === "utc" ? "Times in UTC" : `Times in this browser's zone, ${offset(new Date())}`);
}

// Toasts.

function toast(text) {
  const toasts = document.getElementById("toasts");
  const element = document.createElement("p");
  element.className = "toast";
  element.textContent = text;
  toasts.replaceChildren(element);
  setTimeout(() => element.remove(), 4000 + 40 * text.length);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyWithoutHttps(text);
  }
  toast(`Copied ${what}`);
}

function copyWithoutHttps(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hide";
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}

// Live updates. The server says what changed; the page is fetched again and what differs is put
// in place. Rows never move while they are read: new ones are counted until they are asked for.

const QUIET = 1000; // between two fetches, in milliseconds
const live = {
  source: null, state: "connecting", lag: 0, paused: false,
  greeted: 0, poll: 0, hidden: 0, timer: 0, last: 0, tag: null,
};
const seen = new Map(); // what the server last sent of each region and row

const bare = (html) => html.replace(/(<(?:time|span class="took")[^>]*>)[^<]*/g, "$1").replace(/ data-exact="[^"]*"/g, "");
const rowKey = (row) => "row " + row.dataset.id;
const regionKey = (region) => "region " + region.dataset.live;

function remember() {
  for (const row of document.querySelectorAll("tr[data-id]")) seen.set(rowKey(row), bare(row.innerHTML));
  for (const region of document.querySelectorAll("[data-live]")) seen.set(regionKey(region), bare(region.innerHTML));
}

function show(state) {
  live.state = state;
  const button = document.getElementById("live");
  const words = {
    connecting: "connecting", live: "live", lag: `lag ${Math.round(live.lag)} s`,
    polling: "every 5 s", paused: "paused", away: "monitor away",
  };
  button.dataset.state = state;
  setText(button.querySelector("span"), words[state]);
  button.title = state === "paused" ? "Go on with live updates" : "Pause live updates";
}

function connect() {
  disconnect();
  if (live.paused || !document.body.dataset.topics) return;
  const source = new EventSource("/api/v1/stream?topics=" + encodeURIComponent(document.body.dataset.topics));
  live.source = source;
  live.greeted = setTimeout(startPolling, 5000);
  source.addEventListener("hello", (event) => greeted(JSON.parse(event.data)));
  source.addEventListener("lag", (event) => lagging(JSON.parse(event.data).lag_s));
  for (const topic of ["tasks", "overview", "workers", "warning"]) source.addEventListener(topic, refresh);
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) startPolling();
    else if (live.state === "live" || live.state === "lag") show("away");
  };
}

function disconnect() {
  live.source?.close();
  live.source = null;
  clearTimeout(live.greeted);
  clearInterval(live.poll);
}

function greeted(hello) {
  clearTimeout(live.greeted);
  clearInterval(live.poll);
  if (live.state === "away" || live.state === "polling") refresh();
  lagging(hello.lag_s);
}

function lagging(seconds) {
  live.lag = seconds ?? 0;
  show(live.lag > 2 ? "lag" : "live");
}

function startPolling() {
  disconnect();
  show("polling");
  refresh();
  let left = 6; // then events may come through again
  live.poll = setInterval(() => {
    left -= 1;
    if (left === 0) connect();
    refresh();
  }, 5000);
}

function togglePause() {
  live.paused = !live.paused;
  if (live.paused) {
    disconnect();
    show("paused");
  } else {
    show("connecting");
    connect();
    refresh();
  }
}

function refresh() {
  if (live.timer || live.paused) return;
  const wait = Math.max(0, live.last + QUIET - Date.now());
  live.timer = setTimeout(fetchPage, wait);
}

async function fetchPage() {
  try {
    const headers = live.tag ? { "if-none-match": live.tag } : {};
    const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin", headers });
    if (answer.ok) {
      live.tag = answer.headers.get("etag");
      update(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
    if (live.state === "away" && live.source === null) show("polling");
  } catch {
    show("away");
  } finally {
    live.last = Date.now();
    live.timer = 0;
  }
}

function update(fresh) {
  ahead = Number(fresh.body.dataset.now) - Date.now() || ahead;
  for (const region of document.querySelectorAll("[data-live]")) {
    const other = fresh.querySelector(`[data-live="${region.dataset.live}"]`);
    if (other) replace(region, other, regionKey(region));
  }
  updateRows(fresh);
  tellTimes();
}

function updateRows(fresh) {
  const rows = document.querySelector("[data-rows]");
  const others = fresh.querySelectorAll("[data-rows] tr[data-id]");
  let newer = 0;
  for (const other of others) {
    const row = rows?.querySelector(`tr[data-id="${CSS.escape(other.dataset.id)}"]`);
    if (!row) newer += 1;
    else if (replace(row, other, rowKey(row))) blink(row);
  }
  const link = document.getElementById("newer");
  if (!link || link.dataset.first === undefined) return;
  link.hidden = newer === 0;
  setText(link, newer === others.length && newer > 1 ? `${newer} or more newer ↑` : `${newer} newer ↑`);
}

function blink(row) {
  row.classList.remove("fresh");
  requestAnimationFrame(() => row.classList.add("fresh"));
}

// Puts the content of `other` into `element` if it differs; keeps the focus and what is unfolded.
function replace(element, other, key) {
  const html = bare(other.innerHTML);
  if (seen.get(key) === html) return false;
  seen.set(key, html);
  const focused = element.contains(document.activeElement) ? place(document.activeElement) : null;
  const open = [...element.querySelectorAll("details")].map((it) => it.open);
  element.replaceChildren(...document.adoptNode(other).childNodes);
  [...element.querySelectorAll("details")].forEach((it, index) => { it.open = open[index] ?? it.open; });
  reveal(element);
  if (focused) element.querySelector(focused)?.focus({ preventScroll: true });
  return true;
}

function place(element) {
  if (element.id) return "#" + CSS.escape(element.id);
  if (element.hasAttribute("href")) return `[href="${CSS.escape(element.getAttribute("href"))}"]`;
  return element.localName;
}

// Keyboard: the same keys as in the terminal.

const GO = { o: "/", t: "/tasks", f: "/failures", d: "/dead", q: "/queues", w: "/workers", s: "/schedules", n: "/names", r: "/workflows", l: "/live", a: "/audit" };
let goingUntil = 0;

const rows = () => [...document.querySelectorAll("main .rows tbody tr")].filter((row) => row.querySelector(".open"));
const currentRow = () => document.activeElement?.closest?.("tbody tr");
const typing = (element) => element.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");

function move(by) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.indexOf(currentRow());
  const to = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
  all[to].querySelector(".open").focus();
  all[to].scrollIntoView({ block: "nearest" });
}

function back() {
  const menu = document.querySelector(".more[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
    return;
  }
  if (currentRow()) document.activeElement.blur();
  else if (history.length > 1) history.back();
}

function mark() {
  const row = currentRow();
  if (!row) return;
  row.classList.toggle("marked");
  const count = document.querySelectorAll("tr.marked").length;
  toast(count === 1 ? "1 row marked" : `${count} rows marked`);
}

function copyId() {
  const marked = [...document.querySelectorAll("tr.marked[data-id]")].map((row) => row.dataset.id);
  const one = currentRow()?.dataset.id ?? document.getElementById("id")?.textContent;
  if (marked.length > 0) copy(marked.join("\n"), marked.length === 1 ? "the id" : `${marked.length} ids`);
  else if (one) copy(one, "the id");
}

function unfold() {
  const all = [...document.querySelectorAll("main details")];
  const open = all.some((it) => !it.open);
  for (const it of all) it.open = open;
}

const follow = (rel) => document.querySelector(`a[rel="${rel}"]`)?.click();
const KEYS = {
  "?": () => document.getElementById("keys").showModal(),
  "/": () => (document.getElementById("q") ?? document.getElementById("find")).select(),
  g: () => { goingUntil = Date.now() + 1500; },
  j: () => move(1), k: () => move(-1), h: () => follow("prev"), l: () => follow("next"),
  r: () => actOn("retry", "Run again"), v: () => actOn("revoke", "Revoke"),
  T: () => actOn("terminate", "Terminate", "Stop this task while it runs? It does not run again."),
  D: () => document.querySelector('main [data-act$="/discard"]')?.click(),
  Escape: back, x: mark, y: copyId, e: unfold, p: togglePause, t: nextTheme, z: nextZone,
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (kept.get("keys", "on") !== "on" && event.key !== "?") return;
  const going = Date.now() < goingUntil && Object.hasOwn(GO, event.key);
  goingUntil = 0;
  if (going) {
    event.preventDefault();
    location.assign(GO[event.key]);
  } else if (Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    KEYS[event.key]();
  }
}

// What a button of the page does, or to the task of the row: the monitor says if it may not be.
function actOn(call, text, ask) {
  const id = currentRow()?.dataset.id;
  if (!id) document.querySelector(`main [data-act$="/${call}"]`)?.click();
  else act({ dataset: { act: `/api/v1/tasks/${encodeURIComponent(id)}/${call}`, body: "{}", ask }, textContent: text });
}

// Completion of filters: the monitor knows what could stand where the cursor is.

function completes(input) {
  const list = document.createElement("ul");
  list.className = "suggest";
  list.id = input.id + "-suggest";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Completions");
  list.hidden = true;
  input.after(list);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"]]) {
    input.setAttribute(name, value);
  }
  let at = -1, place = null, asked = 0, timer = 0;

  const open = (is) => {
    list.hidden = !is;
    input.setAttribute("aria-expanded", String(is));
    if (!is) choose(-1);
  };
  const choose = (to) => {
    at = to;
    [...list.children].forEach((it, index) => it.setAttribute("aria-selected", String(index === at)));
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[at].id);
  };
  const take = (text) => {
    const before = [...input.value], end = place.at + place.length;
    const rest = before.slice(end).join("");
    const start = before.slice(0, place.at).join("") + text + (text.endsWith(":") || rest.startsWith(" ") ? "" : " ");
    input.value = start + rest;
    input.setSelectionRange(start.length, start.length);
    open(false);
    if (text.endsWith(":")) ask();
  };
  const ask = async () => {
    const number = ++asked;
    const cursor = [...input.value.slice(0, input.selectionStart)].length;
    const query = new URLSearchParams({ q: input.value, cursor, of: input.dataset.filter });
    try {
      const answer = await fetch(`/api/v1/suggest?${query}`, { credentials: "same-origin" });
      if (!answer.ok || number !== asked || document.activeElement !== input) return;
      place = await answer.json();
    } catch {
      return;
    }
    list.replaceChildren(...place.items.slice(0, 10).map((text, index) => {
      const item = Object.assign(document.createElement("li"), { id: `${list.id}-${index}`, textContent: text });
      item.setAttribute("role", "option");
      item.onmousedown = (event) => { event.preventDefault(); take(text); };
      return item;
    }));
    choose(-1);
    open(list.children.length > 0);
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
  input.addEventListener("blur", () => { asked += 1; clearTimeout(timer); open(false); });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const last = list.children.length - 1;
    if (event.key === "ArrowDown") choose(at >= last ? 0 : at + 1);
    else if (event.key === "ArrowUp") choose(at <= 0 ? last : at - 1);
    else if (event.key === "Escape") open(false);
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(list.children[at].textContent);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

// Acts: buttons that call the monitor, which answers with what each of those says who had to do something.

async function act(button) {
  const { act: path, ask, word, field, label } = button.dataset;
  let { body } = button.dataset;
  if (ask) {
    const given = await agreed(button.textContent, ask, word, label);
    if (given === null) return;
    if (field) body = JSON.stringify({ ...JSON.parse(body), [field]: given });
  }
  button.disabled = true;
  try {
    const answer = await fetch(path, {
      method: "POST", credentials: "same-origin", body,
      headers: { "content-type": "application/json", "x-celeriac": "1" },
    });
    toast(told(button.textContent, await answer.json()));
    refresh();
  } catch {
    toast(`${button.textContent}: the monitor does not answer`);
  } finally {
    button.disabled = false;
  }
}

// The words of the API: done, partial, refused, unknown_target, no_answer, error.
function told(what, answer) {
  if (!answer.results) return `${what}: ${answer.detail ?? answer.title}`;
  const says = (it) => [it.who, it.outcome, it.detail].filter(Boolean).join(" ");
  const others = answer.results.filter((it) => it.outcome !== "done");
  const shown = (others.length ? others : answer.results).slice(0, 3).map(says);
  return `${what}: ${answer.status.replace("_", " ")} · ${shown.join(" · ")}`;
}

// A form that changes something works without this, where the browser says by itself from which page
// it comes. It does not over plain HTTP from afar.
async function send(event) {
  event.preventDefault();
  const form = event.target;
  try {
    const answer = await fetch(form.action, {
      method: "POST", credentials: "same-origin", headers: { "x-celeriac": "1" },
      body: new URLSearchParams(new FormData(form, event.submitter)),
    });
    if (answer.redirected) return location.assign(answer.url);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("main").replaceChildren(...(fresh.getElementById("main") ?? fresh.body).childNodes);
  } catch {
    toast("The monitor does not answer");
  }
}

// Asks in a dialog; where a word is wanted, it has to be typed. Answers what was written beside the label, or
// null for no.
function agreed(what, question, word, label) {
  const dialog = document.createElement("dialog");
  dialog.className = "keys ask";
  dialog.setAttribute("aria-labelledby", "ask-title");
  const form = document.createElement("form");
  form.method = "dialog";
  const title = Object.assign(document.createElement("h2"), { id: "ask-title", textContent: what });
  const text = Object.assign(document.createElement("p"), { textContent: question });
  form.append(title, text);
  const yes = Object.assign(document.createElement("button"), { className: "button", value: "yes", textContent: what });
  const no = Object.assign(document.createElement("button"), { className: "button", value: "no", textContent: "Cancel" });
  no.formNoValidate = true;
  let input = null;
  if (word || label) {
    const text = word ? `Type ${word}: ` : `${label}: `;
    const line = Object.assign(document.createElement("label"), { textContent: text });
    input = Object.assign(document.createElement("input"), { name: "word", autocomplete: "off" });
    yes.disabled = true;
    input.oninput = () => { yes.disabled = word ? input.value !== word : !input.value.trim(); };
    line.append(input);
    form.append(line);
  }
  const buttons = Object.assign(document.createElement("p"), { className: "keys-end" });
  buttons.append(no, yes);
  form.append(buttons);
  dialog.append(form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.onclose = () => {
      resolve(dialog.returnValue === "yes" ? (input?.value.trim() ?? "") : null);
      dialog.remove();
    };
    dialog.showModal();
  });
}

// What needs the script is shown by it.
function reveal(root) {
  for (const button of root.querySelectorAll("[data-act]")) {
    button.hidden = false;
    button.onclick = () => act(button);
  }
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.onclick = () => copy(document.querySelector(button.dataset.copy).textContent, "the id");
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.dataset.post !== undefined) send(event);
});

document.addEventListener("DOMContentLoaded", () => {
  ahead = Number(document.body.dataset.now) - Date.now() || 0;
  remember();
  tellTimes();
  setInterval(tellTimes, 5000, document);
  for (const id of ["theme", "help"]) document.getElementById(id).hidden = false;
  document.getElementById("theme").onclick = nextTheme;
  document.getElementById("help").onclick = KEYS["?"];
  nameTheme();
  reveal(document);
  for (const input of document.querySelectorAll("[data-filter]")) if (input.dataset.filter) completes(input);
  const keys = document.getElementById("keys-on");
  keys.checked = kept.get("keys", "on") === "on";
  keys.onchange = () => kept.set("keys", keys.checked ? "on" : "off");
  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    const menu = document.querySelector(".more[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });
  if (!document.body.dataset.topics) return;
  const button = document.getElementById("live");
  button.hidden = false;
  button.onclick = togglePause;
  connect();
});

// A browser keeps six connections to a server, for all its windows together. So a page that nobody
// sees gives up its own.
const UNSEEN = 5000; // in milliseconds

function leave() {
  clearTimeout(live.hidden);
  disconnect();
}

function come() {
  clearTimeout(live.hidden);
  if (!document.body.dataset.topics || live.paused || live.source !== null) return;
  connect();
  refresh();
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(live.hidden);
  if (document.hidden) live.hidden = setTimeout(disconnect, UNSEEN);
  else come();
});
window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", (event) => { if (event.persisted) come(); });
