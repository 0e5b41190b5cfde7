"""What every source of data becomes: observations first, labels as class indices."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from matlab_bridge._errors import DatasetError
from matlab_bridge._text import visible

from ._values import Array, Sequences, shorten, size_text

if TYPE_CHECKING:
    from ._batches import SequenceBatches
    from ._channels import ComplexForm
    from ._padding import Padded, Side


@dataclass(frozen=True, eq=False)
class Dataset:
    """Observations and their labels, ready for a Keras model.

    Attributes:
        inputs: images `(N, H, W, C)`, features `(N, D)`, or a list of N sequences `(T, D)`. The numbers are
            those of the source: nothing is rescaled, because a network normalizes its own input. 8- and 16-bit
            integers keep their type, complex numbers are complex64, everything else is float32.
        labels: class indices, 0-based in the order of `class_names`, int64 `(N,)`; responses of a regression,
            float32 `(N, R)`; a list of such arrays, one a sequence, where each time step has its own label;
            None without labels.
        class_names: in the order of the network's outputs; empty for a regression.
        description: what was found and how it was read, one sentence a line.
    """

    inputs: Array | Sequences
    labels: Array | Sequences | None
    class_names: tuple[str, ...]
    description: str

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        if isinstance(self.inputs, list):
            steps = sorted({len(each) for each in self.inputs})
            length = f"{steps[0]} to {steps[-1]} time steps" if steps else "no time steps"
            inputs = f"{len(self.inputs)} sequences of {length}"
        else:
            inputs = f"inputs {size_text(self.inputs.shape)} {self.inputs.dtype}"
        if self.labels is None:
            labels = "no labels"
        elif self.class_names:
            labels = f"{len(self.class_names)} classes: {shorten(self.class_names)}"
        else:
            labels = "responses"
        return f"<Dataset: {inputs}, {labels}>"

    def _repr_html_(self) -> str:
        """What was found, and how many observations each class has, for notebooks."""
        text = html.escape(visible(f"{repr(self)[1:-1]}\n{self.description}".strip())).replace("\n", "<br>")
        if self.labels is None or isinstance(self.labels, list) or not self.class_names:
            return f"<p>{text}</p>"
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(self.class_names))
        rows = "".join(
            f"<tr><td>{html.escape(visible(name))}</td><td>{count:,}</td></tr>"
            for name, count in zip(self.class_names, counts, strict=True)
        )
        return f"<p>{text}</p><table><tr><th>class</th><th>observations</th></tr>{rows}</table>"

    def padded(self, *, side: Side = "right", value: float = 0.0, length: int | None = None) -> Padded:
        """Sequences of unequal length as one array `(N, T, C)`, with a mask.

        Args:
            side: where the padding goes, `"left"` or `"right"` of the sequence.
            value: what it is filled with.
            length: T; by default that of the longest sequence.

        Returns:
            The array, a bool mask `(N, T)`, and the labels; those of time steps are padded with 0.

        Raises:
            DatasetError: if the inputs are no sequences, differ in channels, or are longer than `length`.

        Examples:
            >>> import numpy as np
            >>> data = Dataset([np.ones((2, 1)), np.ones((3, 1))], None, (), "")
            >>> batch = data.padded(side="left")
            >>> batch.inputs.shape, batch.mask.tolist()
            ((2, 3, 1), [[False, True, True], [True, True, True]])
        """
        from ._padding import pad

        return pad(self._sequences(), self.labels, side=side, value=value, length=length)

    def batches(
        self,
        batch_size: int = 32,
        *,
        side: Side = "right",
        value: float = 0.0,
        bucket: bool = False,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> SequenceBatches:
        """Batches of sequences for `model.fit`, each padded to the longest of the batch.

        Args:
            batch_size: sequences a batch.
            side: where the padding goes, `"left"` or `"right"` of the sequence.
            value: what it is filled with.
            bucket: whether sequences of like length share a batch, so that there is little padding.
            shuffle: whether to draw new batches for each epoch.
            seed: of the shuffling.

        Returns:
            A `keras.utils.PyDataset` of `(inputs, labels)`. Where each time step has its label, a third part,
            the sample weights, is 0 at padding, so that neither loss nor `weighted_metrics` count it. (Keras
            averages over the time steps of each batch first: batches of unequal length weigh alike.)

        Raises:
            DatasetError: if the inputs are no sequences.
            ValueError: if `batch_size` is less than 1.

        Examples:
            >>> model.fit(data.batches(16, bucket=True, shuffle=True))  # doctest: +SKIP
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; a batch has at least one sequence.")
        from ._batches import SequenceBatches

        generator = np.random.default_rng(seed) if shuffle else None
        return SequenceBatches(
            self._sequences(),
            self.labels,
            batch_size,
            side=side,
            value=value,
            bucket=bucket,
            generator=generator,
        )

    def real_channels(self, form: ComplexForm = "iq") -> Dataset:
        """Complex inputs as real channels.

        Args:
            form: `"iq"`, all real parts and then all imaginary parts, as MATLAB's `SplitComplexInputs`;
                `"polar"`, magnitudes and then phases in radians; `"magnitude"` alone.

        Returns:
            The same data with twice as many channels (`"magnitude"`: as many), float32.
        """
        from ._channels import real_channels

        text = {"iq": "real parts, then imaginary parts", "polar": "magnitudes, then phases"}.get(form, "magnitudes")
        return self._changed(lambda array: real_channels(array, form), f"The channels are {text}.")

    def scaled(self, factor: float | None = None) -> Dataset:
        """Inputs times a factor, as float32.

        Args:
            factor: by default what makes fractions of integers: signed ones, such as int16 waveforms, become
                -1 to 1 (1 not included, as in `audioread`), unsigned ones 0 to 1 (as in `im2single`).

        Raises:
            DatasetError: if there is no factor and the inputs are no integers.
        """
        from ._channels import scale

        text = "their type's greatest value" if factor is None else f"the factor {factor:g}"
        return self._changed(lambda array: scale(array, factor), f"The inputs are scaled by {text}.")

    def _changed(self, change: Callable[[Array], Array], note: str) -> Dataset:
        inputs = [change(part) for part in self.inputs] if isinstance(self.inputs, list) else change(self.inputs)
        return replace(self, inputs=inputs, description=f"{self.description}\n{note}")

    def _sequences(self) -> Sequences:
        if not isinstance(self.inputs, list):
            raise DatasetError(
                f"The inputs are one array, {size_text(self.inputs.shape)}, and no sequences of unequal length: "
                "they need no padding, and Keras takes them as they are."
            )
        return self.inputs
