// The table of points: every row is known here, those in sight exist as elements, and their values are asked for once a
// second. All text goes in as text: what a charge point calls itself is never markup.
"use strict";

(() => {
  const table = document.getElementById("table");
  const view = table.querySelector(".window");
  const sheet = view.firstElementChild;
  const trouble = document.getElementById("trouble");
  const words = JSON.parse(table.dataset.words);
  const [search, place, access, base] = ["words", "place", "access", "base"].map((id) => document.getElementById(id));
  const EXTRA = 8; // rows kept above and below those in sight, so that scrolling never shows a gap
  const PERIOD_MS = 1000;

  let rows = [], shown = [], enums = {};
  const drawn = new Map(); // index in `shown` -> element
  const values = new Map(); // row key -> {text, raw, age, who}

  const height = () => (matchMedia("(max-width: 48rem)").matches ? 44 : 34);
  const make = (col, className, role = "cell") => {
    const cell = document.createElement("span");
    cell.setAttribute("role", role);
    cell.dataset.col = col;
    if (className) cell.className = className;
    return cell;
  };

  function unfold(file) {
    enums = file.enums;
    const found = [];
    for (const block of file.blocks) {
      for (const [offset, registers, name, type, mode, unit, scale, codes, low, high, about] of file.kinds[block.kind]) {
        const address = block.start + offset;
        found.push({
          key: `${block.unit}:${address}`, unit_id: block.unit, address, registers, name, type, access: mode, unit, scale, codes, low, high, about,
          place: block.place, group: block.group,
          hay: `${name} ${block.place} ${address} ${type} ${unit} ${codes} ${about} ${block.words}`.toLowerCase(),
        });
      }
    }
    return found;
  }

  function filter() {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const group = place.value, mode = access.value;
    shown = rows.filter((row) => (!group || row.group === group) && (!mode || (mode === "R" ? row.access === "R" : row.access !== "R"))
      && wanted.every((word) => row.hay.includes(word)));
    view.scrollTop = 0;
    for (const element of drawn.values()) element.remove();
    drawn.clear();
    document.getElementById("tally").textContent = words.tally.replace("{shown}", shown.length).replace("{all}", rows.length);
    table.setAttribute("aria-rowcount", shown.length + 1);
    draw();
  }

  function draw() {
    const tall = height();
    sheet.style.height = `${shown.length * tall}px`;
    const first = Math.max(0, Math.floor(view.scrollTop / tall) - EXTRA);
    const last = Math.min(shown.length, Math.ceil((view.scrollTop + view.clientHeight) / tall) + EXTRA);
    for (const [index, element] of drawn) {
      if (index < first || index >= last) { element.remove(); drawn.delete(index); }
    }
    for (let index = first; index < last; index++) {
      if (!drawn.has(index)) {
        const element = drawRow(shown[index], index);
        element.style.top = `${index * tall}px`;
        drawn.set(index, element);
        const next = drawn.get(index + 1);
        sheet.insertBefore(element, next ?? null);
      }
    }
  }

  function drawRow(row, index) {
    const element = document.createElement("div");
    element.setAttribute("role", "row");
    element.setAttribute("aria-rowindex", index + 2);
    const cells = {
      address: make("address", "number"), codes: make("codes"), place: make("place"), name: make("name", "", "rowheader"), type: make("type"),
      range: make("range"), value: make("value", "value"), age: make("age", "number"), who: make("who"), write: make("write"),
    };
    cells.address.textContent = row.address + Number(base.value);
    cells.codes.textContent = functions(row);
    cells.place.textContent = row.place;
    cells.name.textContent = row.name;
    cells.name.title = [row.name, row.about].filter(Boolean).join(": ");
    cells.type.textContent = row.type;
    cells.range.textContent = row.unit;
    if (row.access !== "R" && table.dataset.mayWrite) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words.write;
      button.setAttribute("aria-label", `${words.write} ${row.name}, ${row.place}`);
      button.addEventListener("click", () => ask(row));
      cells.write.append(button);
    }
    element.append(...Object.values(cells));
    element.cells = cells;
    showValue(element, row);
    return element;
  }

  // FC3 is FC4 and FC1 is FC2; a bit is a register and a coil at the same number.
  function functions(row) {
    const reads = row.type === "bit" ? "1 3" : "3";
    if (row.access === "R") return reads;
    return row.registers > 1 ? `${reads} 16` : row.type === "bit" ? `${reads} 5 6` : `${reads} 6`;
  }

  function showValue(element, row) {
    const value = values.get(row.key);
    const { cells } = element;
    if (!value) return;
    if (cells.value.textContent !== value.text) cells.value.textContent = value.text;
    cells.value.title = value.text;
    cells.age.textContent = value.age;
    cells.who.textContent = value.who;
    cells.who.title = value.who;
  }

  let asking = false, again = false;
  async function refresh() {
    if (asking) { again = true; return; }
    const wanted = [...drawn.keys()].sort((a, b) => a - b).map((index) => shown[index]);
    if (!wanted.length || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(`${table.dataset.values}?rows=${wanted.map((row) => row.key).join(",")}`);
      if (answer.status === 401) location.reload();
      if (!answer.ok) {
        const { fault } = answer.status === 409 ? await answer.json() : {};
        throw new Error(fault || "");
      }
      const { values: told } = await answer.json();
      wanted.forEach((row, place) => {
        const [text, raw, age, who] = told[place];
        values.set(row.key, { text, raw, age, who });
      });
      table.removeAttribute("data-stale");
      trouble.hidden = true;
      for (const [index, element] of drawn) showValue(element, shown[index]);
    } catch (error) {
      table.dataset.stale = "yes"; // the gateway is away, or refuses: old values stay, marked, and why
      trouble.textContent = error instanceof TypeError || !error.message ? words.away : error.message;
      trouble.hidden = false;
    } finally {
      asking = false;
      if (again) { again = false; refresh(); }
    }
  }

  // Writing: what is asked shows the value as it is, the limits, and the registers that will go out.
  const dialog = document.getElementById("write");
  const field = document.getElementById("write-value");
  const choice = document.getElementById("write-choice");
  const fault = document.getElementById("write-fault");
  const go = document.getElementById("write-go");
  let asked = null;

  function ask(row) {
    asked = row;
    fault.hidden = true;
    const now = values.get(row.key);
    document.getElementById("write-title").textContent = `${row.name} · ${row.place}`;
    document.getElementById("write-about").textContent = row.about;
    const listed = row.codes && enums[row.codes];
    field.hidden = Boolean(listed);
    choice.hidden = !listed;
    if (listed) {
      choice.replaceChildren(...Object.entries(listed).map(([code, word]) => new Option(`${code} · ${word}`, code)));
      choice.value = now ? String(now.raw) : "";
    }
    field.value = row.access === "W" ? "1" : now ? now.raw ?? "" : "";
    field.inputMode = row.type.startsWith("str") ? "text" : "decimal";
    const limits = row.low !== null && row.high !== null ? words.range.replace("{low}", row.low).replace("{high}", row.high) : "";
    document.getElementById("write-hint").textContent = [row.unit && words.counts.replace("{unit}", row.unit), limits].filter(Boolean).join(" · ");
    document.getElementById("write-summary").textContent = words.summary
      .replace("{now}", now ? now.text : "?").replace("{address}", row.address + Number(base.value)).replace("{unit}", row.unit_id).replace("{code}", row.registers > 1 ? "16" : "6");
    dialog.showModal();
    (listed ? choice : field).focus();
    if (!listed) field.select();
  }

  async function write() {
    const value = choice.hidden ? field.value : choice.value;
    go.disabled = true;
    try {
      const answer = await fetch("/points/write", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.token },
        body: JSON.stringify({ unit_id: asked.unit_id, address: asked.address, value }),
      });
      const told = await answer.json().catch(() => ({ fault: words.failed }));
      if (!answer.ok) { fault.textContent = told.fault; fault.hidden = false; return; }
      dialog.close();
      document.getElementById("said").textContent = words.written.replace("{name}", asked.name);
      refresh();
    } finally {
      go.disabled = false;
    }
  }

  go.addEventListener("click", write);
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); write(); } });
  dialog.addEventListener("close", () => view.focus({ preventScroll: true }));

  let frame = 0;
  view.addEventListener("scroll", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => { draw(); refresh(); });
  });
  new ResizeObserver(() => { for (const element of drawn.values()) element.remove(); drawn.clear(); draw(); }).observe(view);
  search.addEventListener("input", () => { filter(); refresh(); });
  for (const select of [place, access]) select.addEventListener("change", () => { filter(); refresh(); });
  base.addEventListener("change", () => { filter(); refresh(); });

  fetch(table.dataset.source).then((answer) => answer.json()).then((file) => {
    rows = unfold(file);
    for (const [group, title] of file.groups) place.append(new Option(title, group));
    filter();
    refresh();
    setInterval(refresh, PERIOD_MS);
  });
})();
