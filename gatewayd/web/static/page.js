// What every page does besides showing itself: copy, select, ask before a grave step. All of it works on what is there
// later too, because it listens on the document. Without it the pages still show and save.
"use strict";

const said = (text) => { document.getElementById("said").textContent = text; };

document.addEventListener("click", async (event) => {
  const copier = event.target.closest("[data-copy]");
  if (!copier) return;
  const field = document.getElementById(copier.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // plain http has no clipboard of its own
  }
  copier.querySelector("span").textContent = copier.dataset.done;
});

document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select]")) event.target.select();
});

// A grave step asks once more, in the page's own dialog: what it says can be read by everybody.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-clock]")) form.elements.epoch_s.value = Date.now() / 1000;
  if (form.matches("[data-stay]")) event.preventDefault();
  if (form.matches("[data-quiet]")) { event.preventDefault(); quietly(form); }
  if (!form.matches("[data-confirm]") || form.dataset.confirmed) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  const title = document.createElement("h2");
  title.id = "confirm-title";
  title.textContent = form.dataset.confirm;
  dialog.setAttribute("aria-labelledby", title.id);
  const go = event.submitter.cloneNode(true);
  go.type = "button";
  const stay = document.createElement("button");
  stay.type = "button";
  stay.textContent = document.body.dataset.cancel;
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  buttons.append(go, stay);
  dialog.append(title, buttons);
  document.body.append(dialog);
  go.addEventListener("click", () => { form.dataset.confirmed = "yes"; form.requestSubmit(event.submitter); });
  stay.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { dialog.remove(); event.submitter.focus(); });
  dialog.showModal();
});

// A step that changes nothing on the page: it says below the fold what came of it.
async function quietly(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { "HX-Request": "true" } });
    said(await answer.text());
    button.dataset.done = answer.ok ? "yes" : "no";
  } finally {
    button.disabled = false;
  }
}

// Seconds that are left until a network change reverts by itself.
for (const clock of document.querySelectorAll("[data-countdown]")) {
  const end = Date.now() + 1000 * Number(clock.dataset.countdown);
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    clock.textContent = left;
    if (left) setTimeout(tick, 250); else location.reload();
  };
  tick();
}

// Fields that matter only with one choice of another field.
for (const part of document.querySelectorAll("[data-when]")) {
  const [name, value] = part.dataset.when.split("=");
  const show = () => {
    const chosen = document.querySelector(`[name="${name}"]:checked, select[name="${name}"]`);
    part.hidden = !chosen || chosen.value !== value;
  };
  document.addEventListener("change", show);
  show();
}
