"""Write the pages of the gallery: each example with its output and its pictures, as the last run left them.

`make docs` runs it before it builds the site. The examples themselves are run by `make test`, into `build/gallery/`; a
page of one that has not been run has its source alone.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "gallery"
RUNS = ROOT / "build" / "gallery"
EXAMPLES = {
    "mnist_lab.py": "The lab, from training to the report",
    "prune_while_training.py": "Prune in fit, to a smaller LiteRT file",
    "fewer_filters.py": "Fewer filters, and the accuracy brought back",
    "modulation.py": "Modulations in noise, by a CNN and an LSTM",
    "custom_loop.py": "Masks in a loop of your own",
    "dask_sweep.py": "A sweep on Dask",
    "matlab_only/pruned_network.m": "A pruned network, in MATLAB alone",
}


def introduction(source: str) -> str:
    """What a script says of itself: the docstring, or the comment at the top of a function file."""
    if not source.startswith("%"):
        return ast.get_docstring(ast.parse(source)) or ""
    lines = source.splitlines()
    comment = [line.lstrip("%").removeprefix(" ") for line in lines[: lines.index("")]]
    return "\n".join(comment).partition("  ")[2]  # the name of the script comes first


def page_of(script: str, title: str) -> str:
    """The page of an example; its pictures are copied beside it."""
    path = ROOT / "examples" / script
    source = path.read_text(encoding="utf-8")
    run = RUNS / path.stem
    parts = [f"# {title}", introduction(source)]
    for picture in sorted(run.glob("*.png")):
        shutil.copy(picture, PAGES / f"{path.stem}-{picture.name}")
        parts.append(f"![{title}: {picture.stem}]({path.stem}-{picture.name})")
    output = run / "output.txt"
    if output.is_file():
        parts.append(f"What it prints:\n\n```text\n{output.read_text(encoding='utf-8').strip()}\n```")
    language = "python" if path.suffix == ".py" else "matlab"
    helpers = [name for name in ("gallery", "mnist_lab", "signals") if f"from {name} import" in source]
    if helpers:
        names = " and ".join(f"`examples/{name}.py`" for name in helpers)
        parts.append(f"It imports {names}.")
    parts.append(f'??? example "examples/{script}"\n\n' + indented(f"```{language}\n{source.strip()}\n```"))
    return "\n\n".join(parts) + "\n"


def indented(text: str) -> str:
    """Four spaces before each line that is not empty."""
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def main() -> None:
    """Write all pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    index = [
        "# Gallery",
        "Each example is a script in `examples/`, run by the tests; what it prints and draws is here.",
    ]
    for script, title in EXAMPLES.items():
        stem = Path(script).stem
        (PAGES / f"{stem}.md").write_text(page_of(script, title), encoding="utf-8")
        pictures = sorted(PAGES.glob(f"{stem}-*.png"))
        first = introduction((ROOT / "examples" / script).read_text(encoding="utf-8")).split("\n\n")[0]
        index.append(f"## [{title}]({stem}.md)\n\n{first}")
        index += [f'[![{title}]({pictures[0].name}){{width="320"}}]({stem}.md)'] if pictures else []
    (PAGES / "index.md").write_text("\n\n".join(index) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
