// What the page does besides being read: this begins it all, once the page is there.

/** A button that changes between light and dark; what was chosen stays for the next time where the browser allows. */
function themeSwitch(onChange) {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const control = button("", null, () => use(isDark() ? "light" : "dark"));

  function use(theme) {
    root.dataset.theme = theme;
    remember(theme);
    tell();
  }

  function tell() {
    control.textContent = isDark() ? "Light colours" : "Dark colours";
    onChange();
  }

  const before = remembered();
  if (before) root.dataset.theme = before;
  prefersDark.addEventListener("change", tell);
  tell();
  return control;
}

const THEME = "prunelab-theme";

function remember(theme) {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // a browser that keeps nothing of files
  }
}

function remembered() {
  try {
    const theme = localStorage.getItem(THEME);
    return ["light", "dark"].includes(theme) ? theme : null;
  } catch {
    return null;
  }
}

/** The section in sight is marked in the table of contents. */
function followContents(nav) {
  const links = [...nav.querySelectorAll("a")];
  const headings = links.map((link) => document.getElementById(link.hash.slice(1)));
  const mark = () => {
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight / 3).length;
    links.forEach((link, place) => {
      if (place === Math.max(passed - 1, 0)) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}

function begin() {
  const nav = document.querySelector("nav");
  const section = document.getElementById("exploration");
  const data = document.getElementById("data");
  let redraw = () => {};
  nav.append(element("p", { class: "controls screen" }, themeSwitch(() => redraw()), " ", button("Print", "Print", () => print())));
  document.querySelectorAll("main figure").forEach(copyable);
  for (const table of document.querySelectorAll("main .scroll > table")) {
    sortable(table, table.caption.textContent.split(".")[0]);
  }
  if (data) {
    redraw = explore(section, JSON.parse(data.textContent));
    const link = element("li", { class: "screen" }, element("a", { href: "#explore" }, "Explore the sweep"));
    nav.querySelector("li").after(link);
  }
  followContents(nav);
}

begin();
