"""SynFlow on trained networks, and on every model of keras.applications.

    python benchmarks/synflow.py curves NET.mat DATA.mat    # accuracy beside magnitude's, at 50, 80 and 90 %
    python benchmarks/synflow.py applications --out table.md           # all models, the smallest first
    python benchmarks/synflow.py applications --only ResNet50,VGG16

Models of keras.applications have no trained weights here (weights=None) and the smallest input that they take. Those of
up to 60 million parameters are pruned in 100 rounds, larger ones in 10. Both levels are read from one run: the rounds
to 90 % pass 50 %. Each model runs in a process of its own, so that the peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

LEVELS = (0.5, 0.9)
SMALL = 60_000_000
ROUNDS = {True: 100, False: 10}
CUT = 1 - 1e-6  # a layer with this share of the flow is one that all flow passes through
HEADER = (
    "| model | parameters | input | rounds | seconds | peak GB | finite, and flow left at 90 % | cut layers emptied | "
    "branches emptied at 50 % | at 90 % |\n|---|---|---|---|---|---|---|---|---|---|"
)
# By size. The smallest inputs that a model takes stand beside it, 32 if nothing does.
MODELS = (
    "MobileNetV3Small",
    "MobileNetV2",
    "MobileNet",
    "NASNetMobile",
    "EfficientNetB0",
    "MobileNetV3Large",
    "EfficientNetV2B0",
    "EfficientNetB1",
    "EfficientNetV2B1",
    "DenseNet121",
    "EfficientNetB2",
    "EfficientNetV2B2",
    "EfficientNetB3",
    "DenseNet169",
    "EfficientNetV2B3",
    "EfficientNetB4",
    "DenseNet201",
    "EfficientNetV2S",
    "Xception",
    "InceptionV3",
    "ResNet50",
    "ResNet50V2",
    "ConvNeXtTiny",
    "EfficientNetB5",
    "EfficientNetB6",
    "ResNet101",
    "ResNet101V2",
    "ConvNeXtSmall",
    "EfficientNetV2M",
    "InceptionResNetV2",
    "ResNet152",
    "ResNet152V2",
    "EfficientNetB7",
    "ConvNeXtBase",
    "NASNetLarge",
    "EfficientNetV2L",
    "VGG16",
    "VGG19",
    "ConvNeXtLarge",
    "ConvNeXtXLarge",
)
SIZES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


def prune_application(name: str) -> dict[str, object]:
    """Prune one model, and say what its layers lost."""
    import keras
    import numpy as np

    import keras_prunelab as kpl
    from keras_prunelab._select._conventions import Convention

    size = SIZES.get(name, 32)
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    rounds = ROUNDS[model.count_params() <= SMALL]
    # The paper's rounds to 90 %, as the levels of one run; 50 % is a level among them.
    rules = Convention("one run", learnables="weights", ties="exact", rescoring="levels", source="this script")
    levels = sorted({*LEVELS, *(1 - 0.1 ** (step / rounds) for step in range(1, rounds + 1))})
    start = time.perf_counter()
    masks = kpl.trajectory(model, levels, "synflow", convention=rules)
    seconds = time.perf_counter() - start
    found = kpl.prunable(model)
    flows = kpl.scores.SynFlow()(kpl.scores.ScoreContext(model, found, found.values()))
    sums = {path: float(score.sum()) for path, score in flows.items()}
    whole = max(sums.values())
    finite = all(np.isfinite(score).all() for score in flows.values())
    del flows  # of a large model, gigabytes
    row: dict[str, object] = {"name": name, "parameters": model.count_params(), "size": size, "rounds": rounds}
    row |= {"seconds": seconds, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    pruned = {path: value * masks.masks(-1)[path] for path, value in found.values().items()}
    left = kpl.scores.SynFlow()(kpl.scores.ScoreContext(model, found, pruned))
    row["flows"] = bool(finite and max(map(np.max, left.values())) > 0)
    row["layers"] = len(found)
    row["emptied"] = [
        {
            item.path: sums[item.path] / whole
            for item in found
            if masks.zeros_by_variable(masks.sparsities.index(level))[item.path] == np.prod(item.shape)
        }
        for level in LEVELS
    ]
    return row


def line_of(row: dict[str, object]) -> str:
    """One line of the table."""
    emptied: list[dict[str, float]] = row["emptied"]  # type: ignore[assignment]
    cut = sum(share >= CUT for level in emptied for share in level.values())
    return (
        f"| {row['name']} | {row['parameters']:,} | {row['size']} | {row['rounds']} | {row['seconds']:.0f} | "
        f"{row['gigabytes']:.1f} | {'yes' if row['flows'] else 'no'} | {cut} | "
        f"{' | '.join(_branches(level, row['layers']) for level in emptied)} |"
    )


def _branches(emptied: dict[str, float], layers: object) -> str:
    """How many kernels were emptied, and the share of all flow that they carried in the dense network."""
    if not emptied:
        return "none"
    shares = sorted({f"{share:.0e}" for share in emptied.values()}, key=float)
    return f"{len(emptied)} of {layers} ({' to '.join(dict.fromkeys((shares[0], shares[-1])))})"


def run_applications(names: list[str], out: Path | None) -> None:
    """All models, each in a process of its own; a line is written when it is done."""
    print(HEADER, flush=True)
    if out is not None and not out.exists():
        out.write_text(HEADER + "\n")
    for name in names:
        done = subprocess.run([sys.executable, __file__, "one", name], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            line = (
                f"| {name} | failed: {done.stderr.strip().splitlines()[-1]} |"
                if done.stderr
                else f"| {name} | failed |"
            )
            print(line, flush=True)
            continue
        row = json.loads(done.stdout.strip().splitlines()[-1])
        print(line_of(row), flush=True)
        for level, emptied in zip(LEVELS, row["emptied"], strict=True):
            for path, share in emptied.items():
                print(f"    emptied at {level:.0%}: {path}, flow {share:.1e}", flush=True)
        if out is not None:
            with out.open("a") as file:
                file.write(line_of(row) + "\n")


def compare_curves(network: Path, data: Path) -> None:
    """The accuracy of SynFlow and of magnitude, in the paper's convention."""
    import keras_prunelab as kpl
    import matlab_bridge as bridge

    net = bridge.load_network(network)
    found = bridge.load_dataset(data, network=net)
    levels = [0.0, 0.5, 0.8, 0.9]
    result = kpl.sweep(
        net.to_keras(),
        (found.inputs, found.labels),
        sparsities=levels,
        scores=["magnitude", "synflow"],
        convention="paper",
    )
    print(result.table[["score", "sparsity", "accuracy"]].to_string(index=False))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("one")
    one.add_argument("name", choices=MODELS)
    every = parts.add_parser("applications")
    every.add_argument("--only", default=",".join(MODELS))
    every.add_argument("--out", type=Path)
    curves = parts.add_parser("curves")
    curves.add_argument("network", type=Path)
    curves.add_argument("data", type=Path)
    given = parser.parse_args()
    if given.part == "one":
        print(json.dumps(prune_application(given.name)))
    elif given.part == "applications":
        run_applications(given.only.split(","), given.out)
    else:
        compare_curves(given.network, given.data)


if __name__ == "__main__":
    main()
