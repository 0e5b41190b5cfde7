"""The studies: which methods, on which networks, at which levels, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import keras_prunelab as kpl

from . import methods
from .data import Data, Split, digits, signals
from .networks import NETWORKS
from .peers import OURS, PEERS, peers
from .rows import Key, Outcome
from .trial import Trial
from .tried import ALTERNATING, REFERENCE, TAUGHT, THRESHOLDS, tried

LEVELS = (2, 4, 8, 12, 16, 32, 50, 56, 100, 200)
Run = Callable[[Trial, str, Sequence[float]], Iterator[Outcome]]


@dataclass(frozen=True)
class Part:
    """The rows of one network.

    Attributes:
        network: by name.
        methods: their names.
        levels: compressions, or shares of filters.
        seeds: of the runs.
    """

    network: str
    methods: tuple[str, ...]
    levels: tuple[float, ...]
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Study:
    """A table of the page.

    Attributes:
        name: of its CSV file.
        run: measures a method at levels.
        parts: which methods, on which networks, at which levels.
        together: whether one call measures all levels of a method, as a sweep does.
    """

    name: str
    run: Run
    parts: tuple[Part, ...]
    together: bool = False

    @property
    def networks(self) -> tuple[str, ...]:
        """On which networks, each once."""
        return tuple(dict.fromkeys(part.network for part in self.parts))

    @property
    def methods(self) -> tuple[str, ...]:
        """Which methods, each once."""
        return tuple(dict.fromkeys(method for part in self.parts for method in part.methods))


_DENSE, _CONVOLUTIONAL, _RECURRENT, _SIGNALS = "LeNet-300-100", "LeNet-5", "LSTM-128", "signal-CNN"
_FIRST = ("magnitude", "obs", "LAMP", "random")
_SCORES = (*_FIRST, *(name for name in methods.SCORES if name not in _FIRST))
_AFTER_PRUNING = tuple(name + after for name in _SCORES for after in ("", methods.RECONSTRUCTED))
_TRAINED = tuple(methods.TRAINED)


def _on_all(names: tuple[str, ...], levels: tuple[float, ...]) -> tuple[Part, ...]:
    # What Wanda needs, the inputs of a recurrent kernel, cannot be seen from outside its layer.
    recurrent = tuple(name for name in names if not name.startswith("Wanda"))
    return (
        *(Part(network, names, levels) for network in (_DENSE, _CONVOLUTIONAL, _SIGNALS)),
        Part(_RECURRENT, recurrent, levels),
    )


# What one epoch costs decides how much is done: one of LeNet-5 or LSTM-128 takes ten times as long as LeNet-300-100's.
STUDIES = {
    study.name: study
    for study in (
        Study(
            "train",
            methods.train,
            (
                Part(_DENSE, _TRAINED[:6], (12, 50, 56, 100, 200)),
                Part(_CONVOLUTIONAL, _TRAINED[:4], (12, 50, 100, 200)),
                Part(_DENSE, (methods.BIASES_TOO,), (50, 56, 100, 200)),
                Part(_CONVOLUTIONAL, (methods.BIASES_TOO,), (50, 100, 200)),
            ),
        ),
        Study("oneshot", methods.oneshot, _on_all(_AFTER_PRUNING, LEVELS), together=True),
        Study("finetune", methods.finetune, _on_all(_SCORES, (8, 16, 50, 100)), together=True),
        # 17.8 times: 95 % of the kernels, as in the papers.
        Study(
            "sequences",
            methods.train,
            (
                Part(_RECURRENT, _TRAINED[:4], (17.8,)),
                Part(_RECURRENT, methods.GRADUAL, (8, 32)),
                Part(_RECURRENT, (methods.BIASES_TOO,), (17.8, 32)),
            ),
        ),
        Study("rewind", methods.rewind, (Part(_DENSE, methods.REWOUND, (12, 50, 56, 100)),)),
        Study(
            "filters",
            methods.filters,
            (
                Part(
                    _DENSE,
                    tuple(score + after for score in methods.FILTERS for after in methods.AFTERWARDS),
                    (0.25, 0.5, 0.75),
                ),
            ),
        ),
        Study("headline", methods.train, (Part(_DENSE, methods.GRADUAL, (12, 50, 56, 100), seeds=(3, 4)),)),
        Study(
            "shifted",
            methods.train,
            (
                Part(f"{_DENSE}-shifted", methods.GRADUAL, (12, 20, 50, 56, 68, 100, 200), seeds=(0, 1, 2, 3, 4)),
                Part(f"{_CONVOLUTIONAL}-shifted", methods.GRADUAL, (12, 50, 100, 200)),
                Part(f"{_DENSE}-shifted", (methods.BIASES_TOO,), (50, 56, 68, 100, 200), seeds=(0, 1, 2, 3, 4)),
                Part(f"{_CONVOLUTIONAL}-shifted", (methods.BIASES_TOO,), (50, 100, 108, 200, 280)),
            ),
        ),
        Study(
            "tried",
            tried,
            (
                *(
                    Part(network, (REFERENCE, TAUGHT, ALTERNATING, THRESHOLDS), (50,))
                    for network in (_DENSE, _CONVOLUTIONAL)
                ),
                *(
                    Part(network, (REFERENCE, TAUGHT), (50,))
                    for network in (_RECURRENT, f"{_DENSE}-shifted", f"{_CONVOLUTIONAL}-shifted")
                ),
            ),
        ),
        Study("peers", peers, (Part(_DENSE, (OURS, *PEERS), (1, 12, 50, 100)),)),
    )
}


@dataclass(frozen=True)
class Scale:
    """How much of all is done.

    Attributes:
        name: of its folder.
        rows: of the training split, or None for all.
        epochs: of the dense network and of what prunes while it trains.
        tuning: of fine-tuning.
        networks: which networks.
        seeds: how many seeds of each study, or None for all.
        levels: at most so many levels of each study.
        methods: at most so many methods of each study.
        studies: which studies.
    """

    name: str
    rows: int | None = None
    epochs: int = 18
    tuning: int = 2
    networks: tuple[str, ...] = tuple(NETWORKS)
    seeds: int | None = None
    levels: int | None = None
    methods: int | None = None
    studies: tuple[str, ...] = tuple(STUDIES)


SCALES = {
    "full": Scale("full"),
    "quick": Scale("quick", 12_000, 6, 1, (_DENSE,), 1, 4, 4, ("train", "oneshot", "finetune", "rewind", "filters")),
    "smoke": Scale("smoke", 2_000, 3, 1, (_DENSE,), 1, 2, 2, ("train", "oneshot", "filters")),
}


@dataclass(frozen=True)
class Job:
    """Rows that are measured by one call.

    Attributes:
        study: by name.
        network: by name.
        seed: of everything.
        method: by name.
        levels: what to measure.
    """

    study: str
    network: str
    seed: int
    method: str
    levels: tuple[float, ...]

    @property
    def keys(self) -> tuple[Key, ...]:
        """The rows."""
        return tuple(Key(self.study, self.network, self.seed, self.method, level) for level in self.levels)


def jobs(study: Study, scale: Scale) -> Iterator[Job]:
    """The jobs of a study: all methods of one seed before the next, so that what is there can be compared."""
    parts = [part for part in study.parts if part.network in scale.networks]
    seeds = sorted({seed for part in parts for seed in part.seeds[: scale.seeds]})
    for seed, part in product(seeds, parts):
        if seed not in part.seeds[: scale.seeds]:
            continue
        wanted = part.methods[: scale.methods]
        levels = tuple(level for level in part.levels[: scale.levels] if possible(part.network, level))
        if study.together:
            yield from (Job(study.name, part.network, seed, method, levels) for method in wanted)
        else:
            yield from (Job(study.name, part.network, seed, method, (at,)) for at, method in product(levels, wanted))


def possible(network: str, level: float) -> bool:
    """Whether a level is a share of filters, or a compression that the parameters that are never pruned allow."""
    parameters, weights = _sizes(network)
    return level < 1 or int(parameters / level) > parameters - weights


@lru_cache
def _sizes(network: str) -> tuple[int, int]:
    model = NETWORKS[network].build()
    return int(model.count_params()), kpl.prunable(model).total


@dataclass(frozen=True)
class Bench:
    """Where jobs are done.

    Attributes:
        scale: how much is done.
        mnist: the file of digits, or None for the one beside the project.
        work: the folder for dense networks and stores.
    """

    scale: Scale
    mnist: Path | None
    work: Path

    def do(self, job: Job) -> list[tuple[Key, Outcome]]:
        """Measure the rows of a job."""
        outcomes = STUDIES[job.study].run(trial_of(self, job.network, job.seed), job.method, job.levels)
        return list(zip(job.keys, outcomes, strict=True))


@lru_cache(maxsize=2)
def data_of(bench: Bench, kind: str) -> Data:
    """The splits, the training split as long as the scale says."""
    data = digits(bench.mnist) if kind == "digits" else signals()
    return replace(data, train=Split(*(part[: bench.scale.rows] for part in data.train)))


@lru_cache(maxsize=1)
def trial_of(bench: Bench, network: str, seed: int) -> Trial:
    """What the methods begin with; the last one is kept for the next job."""
    chosen = NETWORKS[network]
    data = data_of(bench, chosen.data)
    splits = {name: getattr(data, name) for name in ("train", "validation", "test")}
    shaped = {name: split._replace(inputs=split.inputs.reshape(-1, *chosen.shape)) for name, split in splits.items()}
    scale = bench.scale
    return Trial(chosen, seed, replace(data, **shaped), scale.epochs, scale.tuning, bench.work)
