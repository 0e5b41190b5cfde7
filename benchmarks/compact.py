"""What `compact` makes of every model of `keras.applications`, how much faster it is, and Torch-Pruning beside it.

    python benchmarks/compact.py table [NAME ...] [--json FILE] [--markdown FILE]
    python benchmarks/compact.py latency [NAME ...] [--json FILE]
    python benchmarks/compact.py peer [--json FILE]

- `table`: each model with random weights, at the smallest input that it allows; half of the filters of each layer
  are masked, the outputs compared, parameters and multiply-adds counted. Models that cannot be handled are listed with
  the reason.
- `latency`: ResNet-50, MobileNetV2 and VGG-16 at 224x224 with half of their filters removed, side by side with the
  whole model: the speed-up, and its share of the ratio of multiply-adds; as they are, with the normalizations of both
  fused, and with those of the small one fused only, which is what a user gains who removes filters and fuses; both
  fused also with multiples of 16 filters kept.
- `peer`: Torch-Pruning 1.6.1 on the very networks that `remove_filters` gets, rebuilt in torch: parameters and
  multiply-adds after removing the same fraction of each layer. The peer has a virtual environment of its own,
  `benchmarks/.venv-torch-pruning`, made at the first run.

Only the ratios of `latency` mean anything: the seconds are those of a machine and an hour.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_prunelab as kpl
from keras_prunelab._channels._graph import graph_of

L = keras.layers
FRACTION = 0.5
VENV = Path(__file__).resolve().parent / ".venv-torch-pruning"
SIZES = {
    "EfficientNetV2L": 64,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "NASNetLarge": 331,
    "NASNetMobile": 224,
    "Xception": 71,
}
PEERS = ("ResNet50", "MobileNetV2", "VGG16")


def names() -> list[str]:
    """Every function of `keras.applications` that makes a model."""
    return sorted(name for name, value in vars(keras.applications).items() if inspect.isfunction(value))


def lively(model: keras.Model, seed: int = 0) -> keras.Model:
    """Values that make each layer matter: as they are initialized, some scales are next to zero."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, L.Normalization):
            continue  # of the input; it divides by what is next to zero otherwise
        for weight in layer._trainable_variables + layer._non_trainable_variables:
            name = weight.name
            if name == "bias" or name in ("beta", "moving_mean"):
                weight.assign(rng.normal(0, 0.1, weight.shape))
            elif len(weight.shape) == 1:  # scales, variances
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def built(name: str, size: int | None = None, seed: int = 0) -> keras.Model:
    """A model of `keras.applications` with random weights."""
    keras.utils.set_random_seed(seed)
    side = size or SIZES.get(name, 32)
    # Without the softmax, behind which small differences would be none.
    make = getattr(keras.applications, name)
    return lively(make(weights=None, input_shape=(side, side, 3), classifier_activation=None))


def calibrated(model: keras.Model) -> keras.Model:
    """The model with statistics of images, or a deep network would tell nothing of its input."""
    if not any(isinstance(layer, L.BatchNormalization) for layer in model._flatten_layers()):
        return model
    return kpl.recalibrate(model, images(model, 32), batch_size=32 if model.input_shape[1] < 200 else 2)


def images(model: keras.Model, count: int) -> np.ndarray:
    """Images of large spots, with pixels as most of these models take them."""
    side = model.input_shape[1]
    spots = np.random.default_rng(1).uniform(0, 255, (count, 4, 4, 3)).astype(np.float32)
    place = np.arange(side) * 4 // side
    return spots[:, place][:, :, place]


def variation(model: keras.Model) -> float:
    """How much the outputs for two images differ, in relation to the largest output."""
    one, other = model.predict(images(model, 2), verbose=0)
    return float(np.abs(one - other).max() / np.abs(one).max())


def row(name: str) -> dict[str, Any]:
    """One line of the table."""
    begin = time.perf_counter()
    model = built(name)
    last = next(item.layer for item in reversed(kpl.prunable(model)))
    pruned = calibrated(kpl.prune(model, FRACTION, granularity="channel", scope="layer", exclude=last))
    before = kpl.metrics(model)
    masked = kpl.sparsity(pruned)
    try:
        found = kpl.compaction(pruned, images(model, 4))
    except kpl.PruneLabError as error:
        return {"model": name, "reason": str(error)}
    after = kpl.metrics(found.model)
    return {
        "model": name,
        "input": model.input_shape[1],
        "parameters": [before.parameters, after.parameters],
        "macs": [before.macs, after.macs],
        "sparsity": masked,
        "difference": found.difference,
        "variation": variation(found.model),
        "barriers": [f"{each.layer} ({each.kind}): {each.reason}" for each in found.barriers],
        "held": sum(found.held.values()),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def table(chosen: list[str]) -> list[dict[str, Any]]:
    """Compact every model, or those chosen."""
    rows = []
    for name in chosen or names():
        rows.append(row(name))
        print(json.dumps(rows[-1]), flush=True)
        keras.backend.clear_session()
        gc.collect()
    return rows


HEADING = """# The models of keras.applications, compacted

Half of the filters of each layer masked by `prune(0.5, granularity="channel", scope="layer")`, then `compact`. The
weights are random, because only the structure matters, with statistics of images of random spots, and inputs are as
small as the model allows. The difference is the largest one of an output, on such images too, relative to the largest
output. Where layers add up, a channel goes only if it is masked in all of them, so that networks with long residual
streams keep more.

`python benchmarks/compact.py table --markdown docs/applications.md` writes this page.

"""


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table as a page reads it."""
    lines = [
        "| model | input | parameters | after | | multiply-adds | after | | difference | barriers |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for each in rows:
        if "reason" in each:
            lines.append(f"| {each['model']} | | | | | | | | | not handled: {each['reason']} |")
            continue
        (p0, p1), (m0, m1) = each["parameters"], each["macs"]
        lines.append(
            f"| {each['model']} | {each['input']} | {p0:,} | {p1:,} | {p1 / p0:.0%} | {m0 / 1e6:,.0f} M "
            f"| {m1 / 1e6:,.0f} M | {m1 / m0:.0%} | {each['difference']:.0e} "
            f"| {'; '.join(each['barriers']) or 'none'} |"
        )
    return "\n".join(lines) + "\n"


def latency(chosen: list[str]) -> list[dict[str, Any]]:
    """The speed-up at half of the filters, and its share of the ratio of multiply-adds."""
    rows = []
    for name in chosen or PEERS:
        model = built(name, 224)
        small = kpl.remove_filters(model, FRACTION)
        wider = kpl.remove_filters(model, FRACTION, multiple_of=16)
        whole, counted, wide = (kpl.metrics(each).macs for each in (model, small, wider))
        counted, wide = whole / counted, whole / wide
        figures: dict[str, Any] = {
            "model": name,
            "ratio of multiply-adds": round(counted, 2),
            "ratio, multiples of 16": round(wide, 2),
        }
        models = [model, small, wider]
        models += [kpl.fuse(each) for each in models]
        for batch in (1, 8, 32):
            times = kpl.latency(models, batch, seconds=3)
            before, after, _, fused_before, fused_after, fused_wider = times
            figures[f"batch {batch}"] = {
                "seconds": [round(before, 4), round(after, 4)],
                "speed-up": round(before / after, 2),
                "share": round(before / after / counted, 2),
                "share, both fused": round(fused_before / fused_after / counted, 2),
                "share, fused after removing": round(before / fused_after / counted, 2),
                "share, both fused, multiples of 16": round(fused_before / fused_wider / wide, 2),
            }
        rows.append(figures)
        print(json.dumps(figures), flush=True)
        keras.backend.clear_session()
    return rows


def peer_python() -> Path:
    """The interpreter of the peer's environment, made where there is none."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)  # noqa: S603
        packages = ["torch-pruning==1.6.1", "torch==2.13.0"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)  # noqa: S603
    return python


def described(model: keras.Model) -> dict[str, Any]:
    """A model in JSON, for the peer to build in torch."""
    graph = graph_of(model)
    numbers = {tensor: index for index, tensor in enumerate(graph.inputs)}
    calls = []
    for call in graph.calls:
        inputs = [numbers[tensor] for tensor in call.inputs]
        numbers |= {tensor: len(numbers) for tensor in call.outputs}
        shapes = [tensor.shape for tensor in (call.inputs[0], call.outputs[0])]
        config = {
            key: value for key, value in call.layer.get_config().items() if isinstance(value, (int, str, list, tuple))
        }
        kind = type(call.layer).__name__
        calls.append({"kind": kind, "config": config, "inputs": inputs, "shapes": shapes})
    return {"input": graph.inputs[0].shape, "calls": calls}


def peer() -> list[dict[str, Any]]:
    """What is left after removing the same fraction of each layer, here and there."""
    rows = []
    for name in PEERS:
        model = built(name, 224)
        command = [peer_python(), Path(__file__).with_name("compact_peer.py"), str(FRACTION)]
        text = json.dumps(described(model))
        run = subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True)  # noqa: S603
        theirs = json.loads(run.stdout.splitlines()[-1])
        both = [kpl.metrics(each) for each in (model, kpl.remove_filters(model, FRACTION))]
        ours = {"parameters": [each.layers["learnables"].sum().item() for each in both], "macs": [m.macs for m in both]}
        figures: dict[str, Any] = {"model": name, "ours": ours, "Torch-Pruning": theirs}
        for kind in ("parameters", "macs"):
            figures[f"{kind} before, ours / theirs"] = round(ours[kind][0] / theirs[kind][0], 4)
            figures[f"{kind} after, ours / theirs"] = round(ours[kind][1] / theirs[kind][1], 4)
        rows.append(figures)
        print(json.dumps(figures), flush=True)
        keras.backend.clear_session()
    return rows


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "latency", "peer"], nargs="?", default="table")
    parser.add_argument("names", nargs="*", help="models of keras.applications; by default all of them")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    parser.add_argument("--markdown", type=Path, help="write the table to a file")
    arguments = parser.parse_args()
    rows = {"table": lambda: table(arguments.names), "latency": lambda: latency(arguments.names), "peer": peer}[
        arguments.what
    ]()
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if arguments.what == "table":
        text = markdown(rows)
        print(text)
        if arguments.markdown:
            arguments.markdown.write_text(HEADING + text, encoding="utf-8")


if __name__ == "__main__":
    main()
