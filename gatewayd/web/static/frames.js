// The viewer: frames come one by one over an event stream; a request and its answer are one line. What is older than the
// newest few thousand is forgotten here; the gateway keeps no record for this page.
"use strict";

(() => {
  const list = document.getElementById("frames");
  const words = JSON.parse(list.dataset.words);
  const [who, what, search] = ["charge-point", "action", "words"].map((id) => document.getElementById(id));
  const pause = document.getElementById("pause");
  const KEPT = 5000; // exchanges: an hour of ten charge points
  const SHOWN = 400; // as elements; more is scrolled through by nobody
  const exchanges = []; // oldest first
  const open = new Map(); // charge point, who asked, unique id -> exchange without an answer
  const lines = new Map(); // exchange -> element
  let paused = false, missed = 0, lost = 0, waiting = [];

  const text = (tag, className, content) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.textContent = content;
    return element;
  };
  const icon = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", words[name]);
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `${list.dataset.icons}#${name}`);
    svg.append(use);
    return svg;
  };
  const short = (value) => { const line = JSON.stringify(value); return line === undefined ? "" : line.length > 300 ? `${line.slice(0, 300)}…` : line; };
  const time = (epoch) => {
    const at = new Date(epoch * 1000);
    return `${at.toLocaleTimeString("en-GB")}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  };

  // What gatewayd tells of a frame, taken apart. Text that is no OCPP is shown as it came.
  function read(line) {
    const frame = { at: line.time, charge_point: line.identity, direction: line.direction, text: line.text ?? line.hex, kind: "text", unique_id: "", action: words.unreadable, payload: line.text ?? line.hex };
    let parts;
    try { parts = JSON.parse(line.text); } catch { return frame; }
    if (!Array.isArray(parts)) return frame;
    const [type, unique_id, ...rest] = parts;
    if (type === 2) return { ...frame, kind: "call", unique_id, action: String(rest[0]), payload: rest[1] };
    if (type === 3) return { ...frame, kind: "result", unique_id, action: "", payload: rest[0] };
    if (type === 4) return { ...frame, kind: "error", unique_id, action: "", payload: rest };
    return frame;
  }

  function take(line) {
    if (line.type === "dropped") { lost += line.dropped; return; }
    if (line.type === "full") { source.close(); document.getElementById("tally").textContent = line.why; return; }
    if (line.type !== "frame") return;
    const frame = read(line);
    const asker = frame.kind === "call" ? frame.direction : frame.direction === "in" ? "out" : "in";
    const key = JSON.stringify([frame.charge_point, asker, frame.unique_id]);
    const asks = frame.kind === "call" || frame.kind === "text";
    if (asks || !open.has(key)) {
      const exchange = { key, call: asks ? frame : null, answer: asks ? null : frame, asker: asks ? frame.direction : asker };
      exchange.hay = short(frame.payload).toLowerCase();
      exchange.action = frame.action || words.unasked;
      exchanges.push(exchange);
      if (frame.kind === "call") open.set(key, exchange);
      if (frame.kind === "call" && ![...what.options].some((option) => option.value === frame.action)) insertAction(frame.action);
      if (exchanges.length > KEPT) forget(exchanges.shift());
      waiting.push(exchange);
    } else {
      const exchange = open.get(key);
      open.delete(key);
      exchange.answer = frame;
      exchange.hay += ` ${short(frame.payload).toLowerCase()}`;
      waiting.push(exchange);
    }
  }

  function insertAction(action) {
    const after = [...what.options].slice(1).find((option) => option.value > action);
    what.insertBefore(new Option(action, action), after ?? null);
  }

  function forget(exchange) {
    open.delete(exchange.key);
    lines.get(exchange)?.remove();
    lines.delete(exchange);
  }

  const matches = (exchange) => {
    const frame = exchange.call ?? exchange.answer;
    return (!who.value || frame.charge_point === who.value) && (!what.value || exchange.action === what.value)
      && (!search.value || exchange.hay.includes(search.value.toLowerCase()));
  };

  function line(exchange) {
    const frame = exchange.call ?? exchange.answer;
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const kind = exchange.answer?.kind === "error" ? "error" : exchange.answer ? "answered" : "open";
    details.dataset.kind = kind;
    const direction = text("span", "way", "");
    direction.append(icon(exchange.asker === "in" ? "told" : "asked"));
    const took = exchange.call && exchange.answer ? `${Math.round((exchange.answer.at - exchange.call.at) * 1000)} ms` : words[kind];
    summary.append(
      text("span", "at", time(frame.at)), text("span", "who", frame.charge_point), direction, text("span", "action", exchange.action),
      text("span", "payload", short(frame.payload)), text("span", "took number", kind === "error" ? `${words.error}` : took));
    details.append(summary);
    details.addEventListener("toggle", () => { if (details.open) unfold(details, exchange); });
    return details;
  }

  function unfold(details, exchange) {
    details.querySelector(".pair")?.remove();
    const pair = document.createElement("div");
    pair.className = "pair";
    for (const [title, frame] of [[words.call, exchange.call], [words.answer, exchange.answer]]) {
      if (!frame) continue;
      const part = document.createElement("div");
      const pre = text("pre", "", typeof frame.payload === "string" ? frame.payload : JSON.stringify(frame.payload, null, 2));
      pre.tabIndex = 0;
      part.append(text("p", "faint", `${title} · ${time(frame.at)} · ${frame.unique_id}`), pre);
      pair.append(part);
    }
    details.append(pair);
  }

  function draw() {
    const fresh = new Set(waiting);
    waiting = [];
    if (paused) { missed += fresh.size; tally(); return; }
    for (const exchange of fresh) {
      const old = lines.get(exchange);
      if (!matches(exchange)) { old?.remove(); lines.delete(exchange); continue; }
      const now = line(exchange);
      if (old) {
        const had = old.contains(document.activeElement);
        now.open = old.open;
        old.replaceWith(now);
        if (had) now.querySelector("summary").focus();
      } else list.prepend(now);
      lines.set(exchange, now);
    }
    while (list.childElementCount > SHOWN) list.lastElementChild.remove();
    if (lines.size > 2 * SHOWN) for (const [exchange, element] of lines) if (!element.isConnected) lines.delete(exchange);
    tally();
  }

  function redraw() {
    list.replaceChildren();
    lines.clear();
    waiting = [];
    for (const exchange of exchanges.filter(matches).slice(-SHOWN)) {
      const element = line(exchange);
      lines.set(exchange, element);
      list.prepend(element);
    }
    tally();
  }

  function tally() {
    const parts = [words.tally.replace("{count}", exchanges.length)];
    if (paused) parts.push(words.missed.replace("{count}", missed));
    if (lost) parts.push(words.lost.replace("{count}", lost));
    document.getElementById("tally").textContent = parts.join(" · ");
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.lastChild.textContent = paused ? words.resume : words.pause;
    if (!paused) { missed = 0; redraw(); } else tally();
  });
  for (const field of [who, what]) field.addEventListener("change", redraw);
  search.addEventListener("input", redraw);

  document.getElementById("export").addEventListener("click", () => {
    const frames = exchanges.filter(matches).flatMap((exchange) => [exchange.call, exchange.answer]).filter(Boolean);
    const file = new Blob(frames.sort((a, b) => a.at - b.at).map((frame) => `${JSON.stringify({ time: frame.at, charge_point: frame.charge_point, direction: frame.direction, frame: frame.text })}\n`), { type: "application/jsonl" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `ocpp-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  let asked = false;
  const source = new EventSource(list.dataset.source);
  source.addEventListener("message", (event) => {
    take(JSON.parse(event.data));
    if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; draw(); }); }
  });
  source.addEventListener("error", () => { document.getElementById("tally").textContent = words.away; });
  source.addEventListener("open", tally);
})();
