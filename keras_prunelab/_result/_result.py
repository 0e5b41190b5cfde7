"""The result of a sweep: the measured points, and the masks and layers behind each of them."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

import pandas as pd

from keras_prunelab._errors import NoTradeOffError, StoreMismatchError, UnknownNameError
from keras_prunelab._evaluate._by_class import COLUMNS, PointKey
from keras_prunelab._evaluate._by_group import columns_of
from keras_prunelab._evaluate._metric import percent
from keras_prunelab._model._numbers import real_number
from keras_prunelab._select._masks import MaskSet
from keras_prunelab._util._notebook import paragraph, picture, table

from . import _files
from ._blocks import blocks_of
from ._choice import Choice
from ._doubts import doubts, no_meaning
from ._mask_source import MaskSource, NoMasks
from ._measurements import Measurements, own_choice
from ._outline import Left
from ._repeat import followed_by

if TYPE_CHECKING:
    import keras
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SAME_DENSE = 0.01  # batches of another size may round an answer otherwise


@final
@dataclass(frozen=True, eq=False)
class SweepResult(Measurements):
    """Accuracy against sparsity, for one network and several scores.

    Attributes:
        table: one row for each point, curve by curve, the levels ascending. Columns:

            - `score`, `convention`, `scope`, `granularity`: how weights were chosen;
            - `training`: how the weights that were left were solved anew and trained, in words, such as
              `"reconstruction"`, `"3 epochs"` or both; `"none"` where they were not;
            - `seed`: what random numbers started from;
            - `sparsity_target`: the level asked for, a fraction; `sparsity`: zeros / total, a fraction;
            - `accuracy`, the fraction of right answers, or in regression `rmse`, in the units of the responses; then
              whatever else was measured, under Keras' names and in its units, such as `loss`;
            - `zeros`, `kept` and `total`: numbers of prunable weights, as the convention counts them;
            - `compression_ratio`: all weights of the model, prunable or not, divided by those that are not pruned
              (Blalock et al. 2020);
            - `speedup`: the theoretical one: multiply-adds of the dense network divided by those that have a weight
              left, one for each kernel weight and position, without biases and normalization; layers that cannot be
              counted are left out of both, and it is missing where none can;
            - `bytes`: the weights as stored in their own type: of each pruned variable the kept values and one bit a
              weight that says which these are, or all values where that is less; all other variables whole;
            - `lost` and `gained`: how many observations were right before pruning and are wrong after it, and the other
              way round; of a classifier only;
            - `loss_error`: the standard error of the metric's difference from the dense network, over the same
              observations, in the metric's units;
            - `answers`: how many different answers the network gives, classes or outputs; 1 is a constant. These four
              are missing where the metric is not accuracy or RMSE, where observations have weights or come in another
              order each time, and in results of earlier versions.
        dense: the metric of the network before pruning.
        outline: the layers of the network.
        sources: what holds the masks, by score, scope, training and seed.
        metric: what was measured.
        class_names: the names of the classes in their order, empty where they are not known.
        metadata: the name of the model, the number of observations, versions, seconds, and the like; the dense
            network's other measures as `dense_loss` and so on; `answers` of the dense network; `trivial`, the metric of
            the best constant answer (the most frequent class, or the mean response), and `trivial_error`, the standard
            error of its difference from the dense network's.
        complete: False where the sweep was interrupted; the points up to then are there.
        by_class: how many observations of each class are answered right; None where the metric is not accuracy, where
            observations have weights, with more than 2,000 classes, and in results of earlier versions.
        by_layer: how many weights of each variable are zero, and how many filters of each layer are gone, at every
            point; None in results of earlier versions.
        by_group: the metric of each group of observations, one entry for each variable of `groups=`.
        choice: the choice that was written with the result; None where there is none.
    """

    def choose(
        self,
        *,
        max_drop: float | None = None,
        min_metric: float | None = None,
        max_bytes: float | None = None,
        knee: bool = False,
        sparsity: float | None = None,
        score: str | None = None,
    ) -> Choice:
        """Choose a trade-off by one condition; with none, by `max_drop=0.01`.

        Of all scores the sparsest level is chosen that meets the condition together with every tested level below
        it; of equally sparse ones the most accurate. A level that meets it again beyond one that does not is luck:
        the reason names it, and it is not chosen.

        Args:
            max_drop: the loss that is allowed against the dense network, from 0: for accuracy in absolute
                fractions (0.01 is one point), for the error of a regression relative to the dense one. A loss may
                exceed it by one standard error, the column `loss_error`; where that is missing it counts as 0.
            min_metric: the least accuracy, a fraction from 0 to 1, or the least value of another metric.
            max_bytes: the most bytes that the weights may take, as in the column `bytes`; of the points that do not
                take more, the one with the best metric is chosen.
            knee: the point where the curve bends most, after Satopää et al. 2011.
            sparsity: the tested level nearest to this fraction, a choice by hand, possible whatever the data says.
            score: consider this score only, or this curve of `scores`.

        Returns:
            The choice, with its reason in words.

        Raises:
            NoTradeOffError: no point meets the condition, and the message names the best one; or the dense network is
                no better than a constant answer, so that no loss means anything; or `max_drop=1` for accuracy, which
                may mean one point or all; or a condition is no number.
            UnknownNameError: the sweep has no such score.

        Examples:
            >>> import keras, numpy as np
            >>> import keras_prunelab as kpl
            >>> keras.utils.set_random_seed(0)
            >>> x = np.eye(3, dtype="float32")
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, use_bias=False)])
            >>> model.layers[0].set_weights([np.eye(3) + 0.1])
            >>> kpl.sweep(model, (x, np.arange(3)), [0.5, 0.6, 0.7]).choose(max_drop=0).sparsity_target
            0.7
        """
        numbers = {"max_drop": max_drop, "min_metric": min_metric, "max_bytes": max_bytes, "sparsity": sparsity}
        given = {name: _number(name, value) for name, value in numbers.items() if value is not None}
        if len(given) + bool(knee) > 1:
            raise NoTradeOffError(
                "A choice has one condition, but several were given: pass max_drop, min_metric, max_bytes, knee "
                "or sparsity."
            )
        points = self.trade_offs
        if "sparsity" in given:
            return points.nearest(given["sparsity"], score)
        nonsense = no_meaning(self)
        if nonsense:
            raise NoTradeOffError(nonsense)
        if "min_metric" in given:
            return points.at_least(given["min_metric"], score)
        if "max_bytes" in given:
            return points.within_bytes(given["max_bytes"], score)
        if knee:
            return points.at_knee(score)
        return points.within_drop(given.get("max_drop", 0.01), score)

    def join(self, more: SweepResult) -> SweepResult:
        """Put the curves of another sweep of the same network, on the same data, beside these.

        Args:
            more: the other sweep, by the same convention.

        Returns:
            The points of both; complete where both are. The metadata are those of this result and, under names that it
            has not, those of the other; `scope`, `seconds` and `repeat` are of both.

        Raises:
            StoreMismatchError: they measure something else, or the same network differently, or a curve is in both at
                the same level.

        Examples:
            >>> import keras, numpy as np
            >>> import keras_prunelab as kpl
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
            >>> data = np.eye(3), np.arange(3)
            >>> kpl.sweep(model, data, [0.5]).join(kpl.sweep(model, data, [0.6], "random")).scores
            ('magnitude', 'random')
        """
        ours, theirs = ((each.metric.name, each.convention) for each in (self, more))
        if ours != theirs or not math.isclose(self.dense, more.dense, rel_tol=_SAME_DENSE):
            raise StoreMismatchError(
                "Sweeps that are joined measure the same network by the same metric and convention, but one measured "
                f"{' and '.join(ours)} with {self.dense:.4g} before pruning, the other {' and '.join(theirs)} with "
                f"{more.dense:.4g}."
            )
        keys = ["score", "scope", "training", "seed", "sparsity_target"]
        table = pd.concat([self.table, more.table], ignore_index=True)
        twice = table.loc[table.duplicated(keys), keys]
        if len(twice):
            raise StoreMismatchError(f"Two sweeps are joined that have a point in common: {twice.iloc[0].to_dict()}.")
        facts = {**more.metadata, **self.metadata}
        facts["scope"] = ", ".join(dict.fromkeys(table["scope"]))
        if "seconds" in self.metadata and "seconds" in more.metadata:
            facts["seconds"] = float(self.metadata["seconds"]) + float(more.metadata["seconds"])
        if "repeat" in self.metadata and "repeat" in more.metadata:
            facts["repeat"] = followed_by(str(self.metadata["repeat"]), str(more.metadata["repeat"]))
        return replace(
            self,
            table=table,
            sources={**self.sources, **more.sources},
            metadata=facts,
            complete=self.complete and more.complete,
            by_class=None if self.by_class is None else self.by_class.joined(more.by_class),
            by_layer=None if self.by_layer is None else self.by_layer.joined(more.by_layer),
            by_group=tuple(both for each in self.by_group if (both := each.joined(more.by_group)) is not None),
        )

    def add_measures(self, more: SweepResult) -> SweepResult:
        """Put what another sweep has measured of the same points beside the measures of these.

        Args:
            more: a sweep of the same network by the same convention, of some of the points, with other `metrics=`.

        Returns:
            These points with its further measures, which are missing where it has no such point.

        Raises:
            StoreMismatchError: it has a point that is not here, or nothing new.

        Examples:
            >>> import keras, numpy as np
            >>> import keras_prunelab as kpl
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
            >>> data = np.eye(3), np.arange(3)
            >>> result = kpl.sweep(model, data, [0.5, 0.6])
            >>> top2 = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
            >>> more = kpl.sweep(model, data, [0.6], metrics=["accuracy", top2])
            >>> result.add_measures(more).table["top2"].notna().tolist()
            [False, True]
        """
        keys = ["score", "scope", "training", "seed", "sparsity_target"]
        names = [name for name in more.table.columns if name not in self.table.columns]
        ours, theirs = (set(each.table[keys].itertuples(index=False, name=None)) for each in (self, more))
        if not names or not theirs <= ours or self.convention != more.convention:
            raise StoreMismatchError(
                "Measures are added to points of the same sweep, but the other one has "
                f"{'other points' if names else 'no other measures'}: {sorted(theirs - ours)[:1] or names}."
            )
        table = self.table.merge(more.table[[*keys, *names]], on=keys, how="left", validate="one_to_one")
        place = list(self.table.columns).index("zeros")
        columns = list(self.table.columns)
        facts = {name: more.metadata[name] for name in more.metadata if name not in self.metadata}
        if "repeat" in self.metadata and "repeat" in more.metadata:
            facts["repeat"] = followed_by(str(self.metadata["repeat"]), str(more.metadata["repeat"]), "add_measures")
        return replace(
            self,
            table=table[[*columns[:place], *names, *columns[place:]]],
            metadata={**self.metadata, **facts},
            complete=self.complete and more.complete,
        )

    def __repr__(self) -> str:
        text = self.metric.text
        levels = self.table["sparsity_target"]
        reach = f" at {percent(levels.min())} to {percent(levels.max())}" if len(levels) else ""
        stopped = "" if self.complete else ", stopped early"
        return (
            f"<SweepResult of {len(self.table)} points{stopped}: {', '.join(self.scores) or 'no score'}{reach}; "
            f"dense {self.metric.label} {text(self.dense)}>"
        )

    def _repr_html_(self) -> str:
        """The plot and the curves side by side, for notebooks."""
        shown = self.curves.pivot_table(index="sparsity_target", columns="curve", values=self.metric.name, sort=False)
        values = shown.sort_index().reindex(columns=list(self.scores)).map(self.metric.text, na_action="ignore")
        values.insert(0, "sparsity", [percent(level) for level in values.index])
        return paragraph(repr(self)[1:-1]) + picture(self.plot(), f"{self.metric.label} by sparsity") + table(values)

    def doubts(self, choice: Choice | None = None) -> tuple[str, ...]:
        """Reasons not to believe this sweep, and a choice of it, as the console and the report print them.

        Args:
            choice: a point of this sweep, or None.

        Returns:
            Sentences; none where nothing is strange. They say that the dense network is no better than a constant
            answer, that the choice is better than the dense network by more than the standard error, that no
            multiply-adds are left, or that a network gives all observations the same answer.
        """
        return doubts(self, choice)

    def masks(self, choice: Choice) -> MaskSet:
        """The masks at a choice, with all that goes with a channel; `masks.apply(model)` prunes the model."""
        return self._source(choice).applied(choice.sparsity_target)

    def network(self, choice: Choice) -> keras.Model:
        """The network that was measured at a choice: a pruned copy, with the weights that were solved anew, if any.

        One that was trained is trained again, in the same way from the same seed.

        Raises:
            InvalidModelError: it was pruned in several rounds, whose networks are not kept; or the result was read from
                a file.
        """
        return self._source(choice).network(choice.sparsity_target)

    def _source(self, choice: Choice) -> MaskSource:
        choice = own_choice(self, choice)
        return self.sources[choice.score, choice.scope, choice.training, choice.seed]

    def layers(self, choice: Choice) -> pd.DataFrame:
        """What is left of each layer at a choice.

        Returns:
            One row for each layer with pruned variables, early to late. Columns: `layer`; `type`, the Keras
            class; `parameters`, the number of its weights that the convention counts; `zeros`; `sparsity`,
            zeros / parameters; `filters`, of a convolution its filters, of a fully connected layer its units;
            `filters_removed`, those of which every counted weight and bias is zero; `macs`, multiply-adds for
            one observation (one per kernel weight and position); `macs_kept`, those with a weight that is
            left. What does not apply or cannot be counted is missing.
        """
        return self.outline.table(self._left(choice))

    def has_layers(self, choice: Choice) -> bool:
        """Whether `layers`, `blocks` and `macs` are known at a choice: files of earlier versions do not say them."""
        return self._counted(choice) is not None or not isinstance(self._source(choice), NoMasks)

    def _left(self, choice: Choice) -> Left:
        found = self._counted(choice)
        return self.outline.left(self._source(choice).masks(choice.sparsity_target)) if found is None else found

    def _counted(self, choice: Choice) -> Left | None:
        key = (choice.score, choice.scope, choice.training, choice.seed, choice.sparsity_target)
        return None if self.by_layer is None else self.by_layer.points.get(key)

    def blocks(self, choice: Choice, blocks: Mapping[str, Collection[str]] | None = None) -> pd.DataFrame:
        """What is left of each block, a group of layers, at a choice.

        By default layers with the same numbered prefix in their names are a block (conv1_1 and conv1_2 are
        conv1); where names tell nothing, a block ends at each pooling, addition or flattening.

        Args:
            choice: a point of this sweep.
            blocks: a grouping of your own: the names of the layers of each block, by the block's name.

        Returns:
            The columns of `layers`, summed over each block, with `block` and the names of its `layers` and
            their `types`. `attrs["rule"]` says how the blocks were found.

        Raises:
            UnknownNameError: `blocks` names a layer that was not pruned, or one layer twice.
        """
        layers = self.layers(choice)
        return blocks_of(self.outline, list(layers["layer"]), blocks).table(layers)

    def classes(self, choice: Choice) -> pd.DataFrame:
        """The accuracy of each class at a choice, of several seeds the mean.

        Returns:
            One row for each class. Columns: `class`, its name, or its index where names are not known; `observations`,
            their number; `dense`, the fraction of right answers before pruning; `accuracy`, that at the choice;
            `change`, their difference. No rows where `by_class` is None, or where the point was measured by an earlier
            version.
        """
        if self.by_class is None:
            return pd.DataFrame(columns=COLUMNS)
        return self.by_class.table(self._seeds(choice), self.class_names)

    def groups(self, choice: Choice) -> pd.DataFrame:
        """The metric of each group of observations at a choice, of several seeds the mean.

        Returns:
            One row for each value of each variable of `groups=`, ascending. Columns: `variable`, its name; `value`;
            `observations`, how many have it; `dense`, the metric over them before pruning; the metric, `accuracy` or
            `rmse`, at the choice; `change`, their difference. No rows without groups.

        Examples:
            >>> import keras, numpy as np
            >>> import keras_prunelab as kpl
            >>> x = np.eye(4, dtype="float32")
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, use_bias=False)])
            >>> model.layers[0].set_weights([np.diag([4.0, 3.0, 2.0, 1.0])])
            >>> result = kpl.sweep(model, (x, np.arange(4)), [0.875], groups={"SNR": [10, 10, 0, 0]})
            >>> table = result.groups(result.choose(sparsity=0.875))
            >>> table[["variable", "value", "observations", "dense", "accuracy"]].values.tolist()
            [['SNR', 0.0, 2, 1.0, 0.0], ['SNR', 10.0, 2, 1.0, 1.0]]
        """
        tables = [each.table(self._seeds(choice), self.metric.name) for each in self.by_group]
        tables = [each for each in tables if len(each)]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns_of(self.metric.name))

    def _seeds(self, choice: Choice) -> list[PointKey]:
        """The points of all seeds at a choice."""
        same = ["score", "scope", "training", "sparsity_target"]
        rows = self.table[(self.table[same] == [getattr(choice, name) for name in same]).all(axis=1)]
        return [
            (choice.score, choice.scope, choice.training, int(seed), choice.sparsity_target) for seed in rows["seed"]
        ]

    def macs(self, choice: Choice) -> tuple[int, int, tuple[str, ...]]:
        """Multiply-adds for one observation: of the dense network, those left, and the layers not counted."""
        return self.outline.macs(self._left(choice))

    def plot(self, target: str | os.PathLike[str] | Axes | None = None, choice: Choice | None = None) -> Figure:
        """Plot accuracy against sparsity.

        Args:
            target: a file to write (its ending says the format), axes to draw on, or None.
            choice: a point to mark.

        Returns:
            The figure. In a notebook it shows itself.

        Raises:
            UnknownNameError: there is no such format, `target` is neither a file nor axes, or `choice` is no point of
                this sweep.
        """
        from ._plot import draw_accuracy, write_figure  # Matplotlib takes a while
        from ._style import new_figure

        if target is None or isinstance(target, str | os.PathLike):
            figure, axes = new_figure()
            draw_accuracy(axes, self, choice)
            if target is not None:
                write_figure(figure, Path(target))
            return figure
        if not hasattr(target, "get_lines"):
            raise UnknownNameError(
                f"plot takes a file or axes, and a point to mark as choice=, but got {type(target).__name__}."
            )
        draw_accuracy(target, self, choice)
        return cast("Figure", target.get_figure(root=True))  # axes that are drawn on have one

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as CSV, with a point as the decimal mark, replacing `path` when it is whole."""
        _files.write_csv(self, Path(path))
        return Path(path)

    def to_json(self, path: str | os.PathLike[str], choice: Choice | None = None) -> Path:
        """Write all but the masks as JSON, replacing `path` when it is whole.

        Args:
            path: the file.
            choice: a point to write with it; None for `choice` of this result.
        """
        _files.write_json(self.chosen(choice), Path(path))
        return Path(path)

    def to_parquet(self, path: str | os.PathLike[str], choice: Choice | None = None) -> Path:
        """Write all but the masks as Parquet, replacing `path` when it is whole.

        Args:
            path: the file.
            choice: a point to write with it; None for `choice` of this result.

        Raises:
            MissingBackendError: pyarrow is not installed.
        """
        _files.write_parquet(self.chosen(choice), Path(path))
        return Path(path)

    def chosen(self, choice: Choice | None) -> SweepResult:
        """The same result with a choice; None leaves the one that it has."""
        return self if choice is None else replace(self, choice=own_choice(self, choice))

    def to_mat(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as a struct of columns for MATLAB, replacing `path` when it is whole.

        `matlab_bridge.save_results` also writes MATLAB tables, a choice and its masks.
        """
        _files.write_mat(self, Path(path))
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SweepResult:
        """Read what `to_json` or `to_parquet` has written, or the result that a sweep has left in its store.

        Args:
            path: the file; one whose name ends in `.parquet` is read as such.

        Returns:
            The result; everything but what needs the masks works.

        Raises:
            FileNotFoundError: there is no such file.
            StoreMismatchError: it holds no result of a sweep.
        """
        return cls(**_files.read(path))


def _number(name: str, value: object) -> float:
    found = real_number(value)
    if found is None:
        raise NoTradeOffError(f"{name}={value!r} is no number.")
    return found
