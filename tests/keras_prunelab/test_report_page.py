"""The page of a report in a browser: what its reader can do with it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import keras_prunelab as kpl
from keras_prunelab._evaluate._metric import RMSE, Metric, percent
from keras_prunelab._result._by_layer import ByLayer
from keras_prunelab._result._outline import LayerOutline, Left, Outline, VariableOutline

from .browser import chromium, opened
from .results_by_hand import OUTLINE, result

LEVELS = [*np.arange(0, 0.8, 0.05).round(3), *np.arange(0.8, 0.981, 0.01).round(3)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def _falling(middle: float) -> list[tuple[float, float, float]]:
    return [(float(s), float(0.1 + 0.89 / (1 + np.exp(40 * (s - middle)))), 0.002) for s in LEVELS]


def _with_layers(swept: kpl.SweepResult, outline: Outline = OUTLINE) -> kpl.SweepResult:
    """With counts of zeros that nobody pruned: of each variable the share of the level, later layers more."""
    variables = [each for layer in outline.layers for each in layer.variables]
    keys = swept.table[["score", "scope", "training", "seed", "sparsity_target"]].itertuples(index=False, name=None)
    left = {
        key: Left(
            {each.path: int(each.size * key[-1] ** (1 + place % 3)) for place, each in enumerate(variables)},
            tuple(0 if layer.variables else None for layer in outline.layers),
        )
        for key in keys
    }
    return dataclasses.replace(swept, outline=outline, by_layer=ByLayer(left))


@pytest.fixture(scope="module")
def swept() -> kpl.SweepResult:
    found = result({"magnitude": _falling(0.9), "synflow": _falling(0.93)}, facts={"dense_loss": 0.03})
    found.table.insert(list(found.table).index("zeros"), "loss", 2 - 1.9 * found.table["accuracy"])
    return _with_layers(found)


@pytest.fixture(scope="module")
def path(swept: kpl.SweepResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("page") / "lab.html"
    return kpl.report(swept, swept.choose(max_drop=0.01), where, title="Lab <b>5", notes="Some *notes*.")


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    with opened(browser, path) as found:
        yield found


def _text(locator: Any) -> str:
    return " ".join(locator.inner_text().replace("\u00a0", " ").split())


def _range(page: Any) -> tuple[float, float]:
    """The sparsities in sight."""
    low, high = re.findall(r"[\d.]+", _text(page.get_by_label("Sparsities in sight")))
    return float(low), float(high)


def _wait(page: Any, condition: str) -> None:
    """Until a condition of JavaScript holds; the page's policy forbids what Playwright does to wait."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def _over(page: Any, share: float, height: float = 0.5) -> tuple[float, float]:
    """A place on the curves: its share of the width and of the height."""
    page.locator(".chart").scroll_into_view_if_needed()
    box = page.locator(".u-over").bounding_box()
    return box["x"] + share * box["width"], box["y"] + height * box["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_window_and_the_console_is_silent(browser: Any, path: Path, width: int, scheme: str) -> None:
    with opened(browser, path, width=width, color_scheme=scheme) as page:
        assert page.locator(".chart canvas").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        overlaps = page.evaluate(
            """() => [...document.querySelectorAll("button, select, input, label, output")]
                .filter((each) => !each.closest(".scroll") && each.getBoundingClientRect().right > innerWidth)
                .map((each) => each.outerHTML)"""
        )
        assert overlaps == []


def test_without_scripts_everything_is_there_but_the_exploration(browser: Any, path: Path) -> None:
    with opened(browser, path, java_script_enabled=False) as page:
        assert not page.locator("#exploration").is_visible()
        figures = page.locator("main figure svg")
        assert figures.count() >= 3
        assert all(figures.nth(place).is_visible() for place in range(figures.count()))
        assert page.locator("button").count() == 0


def test_values_under_the_pointer(page: Any, swept: kpl.SweepResult) -> None:
    page.mouse.move(*_over(page, 0.5))
    low, high = _range(page)
    for place, name in enumerate(("magnitude", "synflow")):
        shown = _text(page.locator("fieldset label").nth(place))
        near, value = re.fullmatch(rf"{name} ([\d.]+) %: ([\d.]+) %", shown).groups()
        assert abs(float(near) - (low + high) / 2) < 3
        row = swept.choose(sparsity=float(near) / 100, score=name)
        assert float(value) == pytest.approx(100 * row.accuracy, abs=0.005)


def test_zoom_and_pan_with_the_mouse(page: Any) -> None:
    whole = _range(page)
    page.mouse.move(*_over(page, 0.5))
    page.mouse.down()
    page.mouse.move(*_over(page, 0.75), steps=4)
    page.mouse.up()
    zoomed = _range(page)
    middle, width = sum(whole) / 2, whole[1] - whole[0]
    assert zoomed == pytest.approx((middle, middle + width / 4), abs=2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    closer = _range(page)
    assert zoomed[0] < closer[0] < closer[1] <= zoomed[1] + 0.1
    assert closer[1] - closer[0] < 0.7 * (zoomed[1] - zoomed[0])
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 100)
    page.keyboard.up("Shift")
    assert _range(page)[0] > closer[0]
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 100)  # alone it scrolls the page
    _wait(page, f"scrollY > {before}")


def test_zoom_and_pan_with_buttons(page: Any) -> None:
    whole = _range(page)
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    closer = _range(page)
    assert closer[1] - closer[0] < 0.5 * (whole[1] - whole[0])
    page.get_by_role("button", name="Look further right").click()
    right = _range(page)
    assert right[0] > closer[0]
    assert right[1] - right[0] == pytest.approx(closer[1] - closer[0], abs=0.2)
    page.get_by_role("button", name="Look further left").click()
    assert _range(page) == pytest.approx(closer, abs=0.2)
    page.get_by_role("button", name="Zoom out").click()
    assert _range(page)[1] - _range(page)[0] > closer[1] - closer[0]
    page.get_by_role("button", name="Show all levels").click()
    assert _range(page) == whole


def test_the_curves_by_keyboard(page: Any, swept: kpl.SweepResult) -> None:
    whole = _range(page)
    chart = page.get_by_role("application")
    chart.focus()
    said = page.locator(".readout")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    accuracy = percent(swept.choose(sparsity=0.1, score="magnitude").accuracy, 2)
    assert _text(said) == f"magnitude, 10.0 % sparse: accuracy {accuracy}"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert _text(said).startswith("synflow, 5.0 % sparse")
    page.keyboard.press("+")
    closer = _range(page)
    assert closer[1] - closer[0] < whole[1] - whole[0]
    page.keyboard.press("Shift+ArrowRight")
    assert _range(page)[0] > closer[0]
    page.keyboard.press("-")
    page.keyboard.press("0")
    assert _range(page) == whole
    page.keyboard.press("Shift+ArrowLeft")  # there is nothing further left
    assert _range(page) == whole


def test_everything_is_reached_by_tab_in_order(page: Any) -> None:
    reached = []
    page.locator("nav a").last.focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached[-1]
    wanted = ["Curves of the sweep", "Zoom in", "allowed", "Allowed loss in points", "level", "Sparsity of each layer"]
    places = [reached.index(name) for name in wanted]
    assert places == sorted(places)


def test_the_choice_of_the_report_is_where_the_page_begins(page: Any, swept: kpl.SweepResult) -> None:
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.01).reason
    assert page.get_by_label("Allowed loss in points").input_value() == "1"
    assert page.get_by_text("The report chooses").count() == 0
    page.get_by_label("Allowed loss in points").fill("9")
    assert page.get_by_text("The report chooses synflow at 82.0").is_visible()


def test_the_choice_follows_slider_field_and_methods(page: Any, swept: kpl.SweepResult) -> None:
    slider, field = page.get_by_role("slider", name="Allowed loss"), page.get_by_label("Allowed loss in points")
    slider.focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    assert float(field.input_value()) == pytest.approx(1.35)
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.0135).reason
    field.fill("5")
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.05).reason
    assert slider.input_value() == "5"
    page.get_by_role("checkbox", name="synflow").uncheck()
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.05, score="magnitude").reason
    page.get_by_role("checkbox", name="magnitude").uncheck()
    assert _text(page.locator(".reason")) == "No method is shown."
    page.get_by_role("checkbox", name="synflow").check()
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.05, score="synflow").reason
    field.fill("")  # while it is typed anew
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.05, score="synflow").reason


def test_the_allowed_loss_is_dragged_on_the_curves(page: Any, swept: kpl.SweepResult) -> None:
    page.locator(".chart").scroll_into_view_if_needed()
    box = page.locator(".limit").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 15, steps=5)
    page.mouse.up()
    loss = float(page.get_by_label("Allowed loss in points").input_value())
    assert 2 < loss <= 10
    assert _text(page.locator(".reason")) == swept.choose(max_drop=loss / 100).reason
    moved = page.locator(".limit").bounding_box()
    assert moved["y"] - box["y"] == pytest.approx(15, abs=2)
    assert _range(page) == pytest.approx((0, 100), abs=3), "that was no zoom"


def test_another_measure_is_drawn(page: Any, swept: kpl.SweepResult) -> None:
    names = page.get_by_role("combobox", name="Measure").locator("option").all_inner_texts()
    assert names == ["accuracy", "loss", "compression", "speedup", "bytes"]
    before = page.evaluate("document.querySelector('.chart canvas').toDataURL()")
    page.get_by_role("combobox", name="Measure").select_option(label="loss")
    assert page.evaluate("document.querySelector('.chart canvas').toDataURL()") != before
    assert not page.locator(".limit").is_visible()
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    loss = swept.table["loss"].iloc[0]
    assert _text(page.locator(".readout")) == f"magnitude, 0.0 % sparse: loss {loss:.4g}"
    assert _text(page.locator(".reason")) == swept.choose(max_drop=0.01).reason
    page.get_by_role("combobox", name="Measure").select_option(label="bytes")
    page.keyboard.press("ArrowRight")
    page.get_by_role("application").press("ArrowRight")
    assert _text(page.locator(".readout")).endswith("bytes 4,000 bytes")


def test_the_layers_at_any_level(page: Any, swept: kpl.SweepResult) -> None:
    rows = page.locator(".tall tbody tr")
    choice = swept.choose(max_drop=0.01)
    slider = page.get_by_role("slider", name="Level")

    def assert_layers(level: float, score: str) -> None:
        point = swept.choose(sparsity=level, score=score)
        table = swept.layers(point)
        for place, (_, layer) in enumerate(table.iterrows()):
            name, kind, share, zeros = (_text(rows.nth(place).locator("td").nth(at)) for at in (0, 1, 3, 4))
            assert (name, kind, share) == (layer["layer"], layer["type"], percent(layer["sparsity"]))
            assert zeros == f"{layer['zeros']:,} of {layer['parameters']:,}"
            bar = rows.nth(place).locator(".bar").bounding_box()["width"]
            track = (
                rows.nth(place)
                .locator(".track")
                .evaluate("e => e.clientWidth - parseFloat(getComputedStyle(e).paddingRight)")
            )
            assert bar / track == pytest.approx(layer["sparsity"], abs=0.02)

    assert_layers(choice.sparsity, choice.curve)
    slider.focus()
    page.keyboard.press("End")
    assert_layers(LEVELS[-1], choice.curve)
    page.keyboard.press("ArrowLeft")
    assert_layers(LEVELS[-2], choice.curve)
    page.get_by_role("combobox", name="Method").select_option(label="magnitude")
    assert_layers(LEVELS[-2], "magnitude")
    page.keyboard.press("Home")
    page.get_by_label("Allowed loss in points").fill("8")
    again = swept.choose(max_drop=0.08)
    assert_layers(again.sparsity, again.curve)


def test_tables_are_sorted_by_number_and_filtered(browser: Any, tmp_path: Path) -> None:
    many = _with_layers(result({"magnitude": _falling(0.9)}), _deep(12))
    report = kpl.report(many, many.choose(), tmp_path / "deep.html")
    with opened(browser, report) as page:
        region = page.get_by_role("region").filter(has_text="All layers at the choice.")
        zeros = region.get_by_role("button", name="zeros")
        column = 3

        def cells(place: int) -> list[str]:
            return [text.strip() for text in region.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()]

        table = many.layers(many.choose())
        assert [int(text.replace(",", "")) for text in cells(column)] == table["zeros"].tolist()
        zeros.click()
        assert [int(text.replace(",", "")) for text in cells(column)] == sorted(table["zeros"])
        assert region.locator("th").nth(column).get_attribute("aria-sort") == "ascending"
        zeros.press("Enter")
        assert [int(text.replace(",", "")) for text in cells(column)] == sorted(table["zeros"], reverse=True)
        assert region.locator("[aria-sort]").count() == 1
        page.get_by_label(f"Filter {region.get_attribute('aria-label')}").fill("conv2d layer_3")
        assert [
            name for name, row in zip(cells(0), region.locator("tbody tr").all(), strict=True) if row.is_visible()
        ] == ["layer_3"]
        assert page.get_by_text("1 of 12 rows").is_visible()


def _deep(count: int) -> Outline:
    return Outline(
        tuple(
            LayerOutline(
                f"layer_{place}",
                "Conv2D" if place % 2 else "Dense",
                (VariableOutline(f"{place}/kernel", "kernel", (3, 3, 16 + place, 160), (3,), 49),),
            )
            for place in range(count)
        )
    )


def test_a_figure_is_copied_as_svg_and_png(browser: Any, path: Path) -> None:
    with opened(browser, path, permissions=["clipboard-read", "clipboard-write"], color_scheme="dark") as page:
        figure = page.locator("figure").first
        figure.get_by_role("button", name="Copy Figure 1 as SVG").click()
        figure.get_by_text("Copied.").wait_for()
        svg = page.evaluate("navigator.clipboard.readText()")
        assert svg.startswith("<svg")
        assert "#0072b2" in svg
        assert "var(" not in svg
        figure.get_by_role("button", name="Copy Figure 1 as PNG").click()
        _wait(page, "navigator.clipboard.read().then(([item]) => item.types.includes('image/png'))")
        bytes_of = """async () => {
            const [item] = await navigator.clipboard.read();
            return [...new Uint8Array(await (await item.getType("image/png")).arrayBuffer())];
        }"""
        picture = Image.open(io.BytesIO(bytes(page.evaluate(bytes_of)))).convert("RGB")
        assert picture.width >= 1500
        assert picture.getpixel((2, 2)) == (255, 255, 255)
        assert (0, 0x72, 0xB2) in {colour for _, colour in picture.getcolors(1 << 24)}


def test_where_nothing_can_be_copied_a_file_is_saved(browser: Any, path: Path) -> None:
    with opened(browser, path) as page:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        with page.expect_download() as download:
            page.get_by_role("button", name="Copy Figure 2 as SVG").click()
        assert download.value.suggested_filename == "figure-2.svg"
        assert Path(download.value.path()).read_text(encoding="utf-8").startswith("<svg")


def _luminance(colour: str) -> float:
    channels = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(one: str, other: str) -> float:
    low, high = sorted([_luminance(one), _luminance(other)])
    return (high + 0.05) / (low + 0.05)


def _colours(page: Any) -> dict[str, str]:
    names = ["--page", "--card", "--text", "--soft", "--accent", "--alarm", "--edge", "--figure", "--ink"]
    names += [f"--curve-{number}" for number in range(1, 7)]
    return page.evaluate(
        """(names) => {
            const probe = document.createElement("span");
            document.body.append(probe);
            const found = Object.fromEntries(names.map((name) => {
                probe.style.color = `var(${name})`;
                return [name, getComputedStyle(probe).color];
            }));
            probe.remove();
            return found;
        }""",
        names,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out(browser: Any, path: Path, scheme: str) -> None:
    with opened(browser, path, color_scheme=scheme) as page:
        colours = _colours(page)
        for name in ("--text", "--soft", "--accent", "--alarm"):
            assert min(_contrast(colours[name], colours[behind]) for behind in ("--page", "--card")) >= 4.5, name
        for name in ("--edge", "--ink", *(f"--curve-{number}" for number in range(1, 7))):
            assert _contrast(colours[name], colours["--page"]) >= 3, name


def test_light_and_dark_are_switched_and_remembered(browser: Any, path: Path) -> None:
    with opened(browser, path, color_scheme="light") as page:
        light = _colours(page)
        canvas = page.evaluate("document.querySelector('.chart canvas').toDataURL()")
        page.get_by_role("button", name="Dark colours").click()
        dark = _colours(page)
        assert _luminance(dark["--page"]) < 0.05 < 0.9 < _luminance(light["--page"])
        assert all(dark[name] != colour for name, colour in light.items())
        assert page.evaluate("document.querySelector('.chart canvas').toDataURL()") != canvas
        page.reload()
        assert _colours(page) == dark
        page.get_by_role("button", name="Light colours").click()
        assert _colours(page) == light
    with opened(browser, path, color_scheme="dark") as page:
        assert _colours(page) == dark
        page.emulate_media(color_scheme="light")
        assert _colours(page) == light


def test_the_contents_lead_to_every_section_and_follow_the_reader(page: Any) -> None:
    links = page.locator("nav a")
    names = [_text(links.nth(place)) for place in range(links.count())]
    assert names[:3] == ["Summary", "Explore the sweep", "Network, data and files"]
    assert [_text(heading) for heading in page.locator("main h2").all()] == names
    links.nth(4).click()
    _wait(page, "document.querySelectorAll('nav a')[4].getAttribute('aria-current') === 'true'")
    assert page.locator("nav a[aria-current]").count() == 1


def test_print_is_light_and_without_what_cannot_be_printed(browser: Any, path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    with opened(browser, path, color_scheme="dark") as page:
        page.get_by_role("button", name="Light colours").click()
        page.get_by_role("button", name="Dark colours").click()
        page.emulate_media(media="print")
        assert _luminance(_colours(page)["--page"]) > 0.9
        for each in ("#exploration", ".screen", "nav button"):
            assert not page.locator(each).first.is_visible()
        printed = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
        text = " ".join(each.extract_text() for each in printed.pages)
        assert len(printed.pages) <= 6
        assert "Explore the sweep" not in text
        assert "Question 4. Where are the zeros?" in text.replace("\n", " ")
        assert [round(float(size)) for size in printed.pages[0].mediabox[2:]] in ([595, 842], [594, 841], [596, 842])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_no_violation(browser: Any, path: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with opened(browser, path, width=width, color_scheme=scheme, bypass_csp=True) as page:
        page.locator("summary").click()
        found = axe.Axe().run(page).response
        assert len(found["passes"]) > 20
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


def test_sizes(swept: kpl.SweepResult, path: Path, tmp_path: Path) -> None:
    assert path.stat().st_size < 400_000
    levels = np.linspace(0, 0.98, 131)
    curves = {name: [(float(s), 1 - s**3, 0.004) for s in levels] for name in ("magnitude", "synflow", "obs", "random")}
    large = _with_layers(result(curves), _deep(150))  # MobileNetV2 has 105 layers that are pruned
    assert kpl.report(large, large.choose(max_drop=0.05), tmp_path / "large.html").stat().st_size < 1_500_000


def test_a_sweep_that_means_nothing_is_explored_without_a_choice(browser: Any, tmp_path: Path) -> None:
    nothing = result({"magnitude": [(0.5, 0.1), (0.9, 0.1)]}, 0.1, facts={"trivial": 0.1, "trivial_error": 0.01})
    with opened(browser, kpl.report(nothing, None, tmp_path / "none.html")) as page:
        assert page.locator(".chart canvas").is_visible()
        assert (
            page.locator(".reason").count() == page.locator("#allowed").count() == page.locator("#level").count() == 0
        )


@pytest.mark.parametrize("metric", [RMSE, Metric("r2_score")], ids=lambda metric: metric.name)
def test_other_metrics_are_explored_in_their_units(browser: Any, tmp_path: Path, metric: Metric) -> None:
    values = [2.0, 2.1, 2.3, 9.0] if metric is RMSE else [0.9, 0.88, 0.8, 0.1]
    found = result({"magnitude": list(zip([0.5, 0.6, 0.7, 0.8], values, strict=True))}, values[0], metric)
    with opened(browser, kpl.report(found, found.choose(max_drop=0.06), tmp_path / "r.html")) as page:
        assert (
            _text(page.locator(".reason")).split(" is within ")[0]
            == found.choose(max_drop=0.06).reason.split(" is within ")[0]
        )
        page.locator("input[type=number]").fill("16")
        assert _text(page.locator(".reason")) == found.choose(max_drop=0.16).reason


def test_long_names_of_methods_fit_a_small_window(browser: Any, tmp_path: Path) -> None:
    points = [(0.5, 0.99), (0.9, 0.985), (0.95, 0.4)]
    swept = _with_layers(result({"a_score_" * 12: points, f"{'b' * 80}, sequential reconstruction, 3 epochs": points}))
    where = kpl.report(swept, swept.choose(max_drop=0.01), tmp_path / "r.html", title="T" * 200, author="N" * 200)
    with opened(browser, where, width=400) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        method = page.locator("label", has=page.locator("select")).last
        assert method.bounding_box()["height"] < 50  # its word is on one line


def test_hostile_names_are_text(browser: Any, tmp_path: Path) -> None:
    name = "</script><img src=x onerror=alert(1)>\u202e<!--<script>"
    found = result({name: [(0.5, 0.99), (0.6, 0.985)]})
    with opened(browser, kpl.report(found, found.choose(), tmp_path / "h.html")) as page:
        assert page.locator("main img").count() == 0
        assert "</script><img src=x onerror=alert(1)>\\u202e" in _text(page.locator("fieldset"))
        with contextlib.suppress(AttributeError):
            page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b>still safe</b>')")
