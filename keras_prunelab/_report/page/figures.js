// A figure as a file of its own, in the colours of paper: SVG and PNG, copied or saved.

const DOTS = 3; // pixels of a PNG for each CSS pixel

/** Give a figure its buttons. */
function copyable(figure) {
  const name = figure.querySelector("figcaption").textContent.split(".")[0];
  const status = element("span", { role: "status" });
  const drawing = () => standalone(figure.querySelector("svg"));
  const asSvg = () => copy(`${name}.svg`, status, "image/svg+xml", () => new Blob([drawing()], { type: "image/svg+xml" }));
  const asPng = () => copy(`${name}.png`, status, "image/png", () => picture(drawing()));
  const buttons = [
    button("Copy SVG", `Copy ${name} as SVG`, asSvg),
    button("Copy PNG", `Copy ${name} as PNG`, asPng),
  ];
  figure.append(element("p", { class: "controls screen" }, buttons[0], " ", buttons[1], " ", status));
}

/** The drawing as a file: with the colours of paper in place of the page's variables. */
function standalone(svg) {
  const text = new XMLSerializer().serializeToString(svg);
  return text.replace(/var\(--[\w-]+,\s*(#[0-9a-f]{6})\)/g, "$1");
}

/** A drawing as pixels, on white. */
async function picture(svgText) {
  const address = URL.createObjectURL(new Blob([svgText], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = element("canvas", { width: DOTS * image.naturalWidth, height: DOTS * image.naturalHeight });
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Into the clipboard; where the browser does not let us, into a file. */
async function copy(name, status, type, make) {
  const content = await make();
  try {
    if (type === "image/png") await navigator.clipboard.write([new ClipboardItem({ [type]: content })]);
    else await navigator.clipboard.writeText(await content.text());
    status.textContent = "Copied.";
  } catch {
    save(name.toLowerCase().replaceAll(" ", "-"), content);
    status.textContent = `Saved as a file: the browser does not let pages of files copy.`;
  }
}

function save(name, content) {
  const address = URL.createObjectURL(content);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
