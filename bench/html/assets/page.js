"use strict";

// What a reader of a screen reader hears after an action.
function say(text) {
  document.getElementById("said").textContent = text;
}

// Themes: the system's, light, dark.
{
  const themes = ["system", "light", "dark"];
  const root = document.documentElement;
  const button = document.querySelector('[data-action="theme"]');

  const remembered = () => {
    try { return localStorage.getItem("feedbench-theme"); } catch { return null; }
  };
  const remember = (theme) => {
    try { localStorage.setItem("feedbench-theme", theme); } catch { /* private window */ }
  };
  const use = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    button.dataset.theme = theme;
  };

  use(themes.includes(remembered()) ? remembered() : "system");
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.dataset.theme) + 1) % themes.length];
    remember(next);
    use(next);
  });
  document.querySelector(".tools").hidden = false;
}

// Copy buttons. The clipboard's API is missing where the file is served without encryption.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("the browser does not allow copying");
  }
}

// A row as a spreadsheet takes it. The button of a title stands beside its hidden explanation.
function cells(row) {
  const texts = [...row.cells].map((cell) => (cell.querySelector("button") ?? cell).textContent);
  return texts.map((text) => text.trim().replace(/\s+/g, " ")).join("\t");
}

const SOURCES = {
  copy: (button) => button.parentElement.querySelector("code").textContent,
  "copy-table": (button) => {
    const table = button.closest(".table").querySelector("table");
    return [...table.rows].filter((row) => !row.hidden).map(cells).join("\n");
  },
};

for (const [action, textOf] of Object.entries(SOURCES)) {
  for (const button of document.querySelectorAll(`[data-action="${action}"]`)) {
    button.addEventListener("click", async () => {
      const done = await copy(textOf(button)).then(() => "Copied", () => "Select it to copy");
      button.textContent = done;
      say(done);
      button.focus();
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

// Tooltips, of charts and of the titles of columns. Text only: names may look like HTML.
function showTip(content, x, y) {
  const tip = document.getElementById("tip");
  tip.replaceChildren(content);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const below = y + 16 + height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(x + 12, innerWidth - width - 8))}px`;
  tip.style.top = `${below ? y + 16 : Math.max(8, y - height - 12)}px`;
}

function hideTip() {
  document.getElementById("tip").hidden = true;
}

for (const element of document.querySelectorAll("[data-help]")) {
  const show = () => {
    const box = element.getBoundingClientRect();
    showTip(document.createTextNode(element.dataset.help), box.left - 12, box.bottom - 10);
  };
  element.addEventListener("pointerenter", show);
  element.addEventListener("focus", show);
  element.addEventListener("pointerleave", hideTip);
  element.addEventListener("blur", hideTip);
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
document.addEventListener("scroll", hideTip, { passive: true });

// The contents: closed on small screens; the section in view is marked.
{
  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 70rem)");
  const fit = () => { contents.open = wide.matches; };
  fit();
  wide.addEventListener("change", fit);

  const links = new Map();
  for (const link of document.querySelectorAll("nav a")) links.set(link.hash.slice(1), link);
  const sections = [...document.querySelectorAll("main section")];
  const isInView = ({ top, bottom }) => top < innerHeight && bottom > 0;
  const chosen = (one) => `#${one.id}` === location.hash && isInView(one.getBoundingClientRect());
  const hasBegun = (one) => one.getBoundingClientRect().top < innerHeight * 0.4;
  const mark = () => {
    const current = sections.find(chosen) ?? sections.findLast(hasBegun);
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(current?.id)?.setAttribute("aria-current", "true");
  };
  addEventListener("hashchange", mark);
  document.addEventListener("scroll", mark, { passive: true });
}

document.querySelector('[data-action="print"]').addEventListener("click", () => print());
