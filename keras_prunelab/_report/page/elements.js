// Parts of the page, made in one call; text is never markup.

/** An element with attributes and children; a function is a listener, and false or null leaves an attribute out. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function button(text, label, onClick) {
  return element("button", { type: "button", "aria-label": label === text ? null : label, title: label, click: onClick }, text);
}

/** Text for readers: a number and its unit stay on one line. */
function shown(text) {
  return text.replaceAll(" %", "\u00a0%").replaceAll(" points", "\u00a0points");
}

/** A list to choose from, with its label. */
function selection(label, names, onChange) {
  const options = names.map((name, place) => element("option", { value: place }, name));
  const select = element("select", { change: () => onChange(Number(select.value)) }, ...options);
  return { select, row: element("label", {}, `${label} `, select) };
}

/** A colour of the page as it is now, light or dark. */
function colour(name) {
  const probe = element("span", { class: "probe" });
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
