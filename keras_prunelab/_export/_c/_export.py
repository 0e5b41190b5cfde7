"""Models as headers of C99."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError, InvalidModelError, NotEquivalentError, UnknownNameError
from keras_prunelab._export._inputs import arrays_by_input, one_observation
from keras_prunelab._export._weights import require_finite_weights
from keras_prunelab._model._data import batches, calibration_of
from keras_prunelab._model._precision import computing_in_float32
from keras_prunelab._model._random_inputs import random_inputs
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._model._rounding import amplified_rounding, relative_change
from keras_prunelab._model._source import check_ends
from keras_prunelab._model._state import begun_anew
from keras_prunelab._util._atomic import check_folder, replace_whole
from keras_prunelab.layers._pruned import Pruned
from keras_prunelab.layers._quantized import Quantized
from keras_prunelab.layers._strip import strip

from . import layers as layers  # registers them
from ._calibrate import calibrated, computed
from ._content import Content
from ._header import header
from ._names import checked_prefix
from ._network import Network, of_one_step
from ._operation import Array, NotStreamableError
from ._reader import Reader
from ._simplify import simplified
from .operations._recurrent import Recurrent, SimpleRNN

_DTYPES = ("float32", "int8")
_GOALS = ("size", "speed")
_BATCH = 16
_TOLERANCE = 1e-4
_ROUNDINGS = 10  # of a sum of hundreds, each by half a unit in the last place at most


@dataclass(frozen=True)
class CHeader:
    """What `export_c` wrote.

    Attributes:
        path: the header.
        constant_bytes: of weights, their places, biases and tables, which a device keeps in flash.
        dense_bytes: the same with every matrix stored whole.
        arena_bytes: the working memory of one call of `net_run`; 0 where the model leaves the length of its sequences
            free, so that there is `net_step` alone.
        state_bytes: the memory of a stream; 0 where the network is no stream.
        forms: for each matrix of weights, `"dense"`, `"mask"`, `"columns"` or `"steps"`.
    """

    path: Path
    constant_bytes: int
    dense_bytes: int
    arena_bytes: int
    state_bytes: int
    forms: Mapping[str, str]


def export_c(
    model: keras.Model,
    path: str | os.PathLike[str],
    data: Any = None,
    dtype: str = "float32",
    *,
    optimize: str = "size",
    name: str | None = None,
    class_names: Sequence[str] = (),
    calibration: Any = None,
) -> CHeader:
    """Write a model as one header of C99 that allocates nothing and needs the standard library alone.

    Each matrix of weights is stored whole, as a bit mask and values, as columns and values (CSR), or as 8-bit steps and
    values, whichever is smaller, or faster. Normalizations are folded into the layer before them. The header has
    `net_run`, from one observation to the outputs; for networks that see one step of a sequence after the other
    (recurrent layers, causal 1-D convolutions) `net_reset` and `net_step` for any number of streams; a test vector and
    an example `main`. How it is compiled stands at its top.

    8-bit networks are as LiteRT's: weights with a scale for each output, symmetric, so that zeros stay zero; values
    with a scale and a zero point, from `data`; sums in 32 bits, scaled by fixed-point factors
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec). Recurrent layers have
    16-bit gates and memory.

    Args:
        model: a built functional or sequential model. `Pruned` and `Quantized` wrappers are taken off:
            ranges are those of `data`.
        path: the file to write; its ending is `.h`. Replaced only once the new one is whole.
        data: observations, in any form that `prune` takes; the first becomes the test vector. `"int8"` needs some
            hundred, as the device will see them; `"float32"` takes random numbers without.
        dtype: `"float32"` or `"int8"`, of weights and values.
        optimize: `"size"` or `"speed"`: whether each matrix is stored in the smallest form or in the fastest.
        name: what the names in C begin with; by default that of the file.
        class_names: of the outputs, or of their last axis, for the `main` and for `net_class_names`; by default none.
        calibration: another name of `data`.

    Returns:
        Where it is, and its sizes in bytes.

    Raises:
        InvalidModelError: the ending is another one, the name is none in C, the model is not built, a subclass, has
            weights or outputs that are not finite, or layers that have no form in C; all of them are listed.
        InvalidDataError: `"int8"` without data; data that is not finite, does not fit the model, or is all the same.
        NotEquivalentError: the network would compute something else than the model.
        UnknownNameError: another `dtype` or `optimize`.
        FileNotFoundError: there is no such folder.

    Examples:
        >>> import keras, tempfile
        >>> import keras_prunelab as kpl
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(50, name="dense")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     header = kpl.export_c(kpl.prune(model, 0.95), Path(folder) / "net.h")
        >>> header.forms, header.dense_bytes, header.constant_bytes < 2000
        ({'dense': 'columns'}, 20200, True)
    """
    target = Path(path)
    _check_choices(target, dtype, optimize)
    prefix = checked_prefix(target.stem if name is None else name, "path" if name is None else "name")
    names = _checked_names(class_names)
    data = calibration_of(calibration, data=data)
    if dtype == "int8" and data is None:
        raise InvalidDataError(
            "dtype='int8' needs data=, some hundred observations as the device will see them: the ranges of values are "
            "taken from them."
        )
    _check_graph(model)
    plain = strip(model) if _has_wrappers(model) else model
    network = simplified(Reader().read(plain), is_int8=dtype == "int8")
    require_finite_weights(plain)
    whole, step = _functions(network, plain)
    if dtype == "int8":
        _check_bounded(network, plain)
    is_one = len(network.outputs) == 1
    if names and not (is_one and len(names) in (network.outputs[0].size, network.outputs[0].channels)):
        lengths = ", ".join(str(value.channels) for value in network.outputs)
        raise InvalidModelError(
            f"{len(names)} class names for outputs of {lengths} values; give as many names, or none where there are "
            "several outputs."
        )
    inputs = _first_observation(plain, data)
    with computing_in_float32(plain), begun_anew(plain):  # as C does
        outputs = _outputs(plain, inputs)
    if not all(np.isfinite(each).all() for each in outputs):
        raise InvalidModelError(
            f"Model {plain.name!r} gives outputs that are NaN or infinite in float32, for {_given(data)}. Give data= "
            "such as the device will see, or train the model again: its weights or inputs are too large."
        )
    with computing_in_float32(plain), begun_anew(plain):
        _check_same(network, plain, inputs, outputs)
    content = Content(prefix, model.name, dtype, optimize, whole, step, names, _only(inputs), _only(outputs))
    if dtype == "int8":
        found = calibrated(network, _calibration(plain, data))
        scales = [found.scales[value.name] for value in network.inputs]
        quantized = tuple(scale.quantize(each) for scale, each in zip(scales, content.test_inputs, strict=True))
        content = replace(content, scales=found.scales, internals=found.internals, test_inputs=quantized)
    written = header(content)
    with replace_whole(target) as temporary:
        temporary.write_text(written.text, encoding="ascii", newline="\n")
    sizes = (written.constant_bytes, written.dense_bytes, written.arena_bytes, written.state_bytes)
    return CHeader(target, *sizes, written.forms)


def _has_wrappers(model: Any) -> bool:
    return isinstance(model, keras.Model) and any(
        isinstance(each, (Pruned, Quantized)) for each in model._flatten_layers()
    )


def _check_graph(model: Any) -> None:
    if isinstance(model, keras.Model) and model.built and not is_graph(model):
        raise InvalidModelError(
            f"Model {model.name!r} of class {type(model).__name__} is a subclass of keras.Model: what its call does is "
            "Python, which nobody can write in C. Build the same layers with keras.Model(inputs, outputs), "
            "and give them these weights."
        )


def _given(data: Any) -> str:
    return "random inputs" if data is None else "the first observation"


def _check_choices(target: Path, dtype: str, optimize: str) -> None:
    if target.suffix != ".h":
        raise InvalidModelError(f"{os.fspath(target)} should end in .h, as headers of C do.")
    check_folder(target)
    for what, value, known in (("dtype", dtype, _DTYPES), ("optimize", optimize, _GOALS)):
        if value not in known:
            raise UnknownNameError(f"{what}={value!r} is unknown; it is one of {', '.join(map(repr, known))}.")


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(each, str) for each in names):
        raise InvalidModelError(f"class_names={names!r}; give texts, one for each output, such as ['cat', 'dog'].")
    return tuple(names)


def _check_bounded(network: Network, model: keras.Model) -> None:
    """Make sure that 16 bits hold what recurrent layers keep."""
    for each in network.operations:
        if isinstance(each, Recurrent):
            functions = [each.activation] if isinstance(each, SimpleRNN) else [each.activation, each.gate]
            others = [function.name for function in functions if not function.is_bounded]
            if others:
                raise InvalidModelError(
                    f"Layer {each.name!r} of model {model.name!r} has the activation {others[0]!r}, whose values have "
                    "no bound; with dtype='int8' recurrent layers take tanh, sigmoid, hard_sigmoid and the like. Give "
                    "dtype='float32'."
                )


def _functions(network: Network, model: keras.Model) -> tuple[Network | None, Network | None]:
    """The network as a whole, and for one step of a stream, each where there is one."""
    whole = None if network.has_free_lengths() else network
    try:
        return whole, of_one_step(network)
    except NotStreamableError as error:
        if whole is None:
            raise InvalidModelError(
                f"Model {model.name!r} leaves lengths of its inputs free, and cannot go step by step: {error}. Give it "
                "one with keras_prunelab.fix_lengths(model, 100), or --length 100."
            ) from error
        return whole, None


def _first_observation(model: keras.Model, data: Any) -> list[Array]:
    if data is None:
        inputs = random_inputs(model)
    else:
        check_ends(data)
        first = next(batches(data, 1, labels=False, model=model))
        first.require_finite()
        inputs = first.inputs
    return [np.asarray(each, np.float32)[:1] for each in arrays_by_input(model, inputs)]


def _calibration(model: keras.Model, data: Any) -> Iterator[list[Array]]:
    for batch in batches(data, _BATCH, labels=False, model=model):
        batch.require_finite()
        yield [np.asarray(each, np.float32) for each in arrays_by_input(model, batch.inputs)]


def _outputs(model: keras.Model, inputs: list[Array]) -> list[Array]:
    found = keras.tree.flatten(model(one_observation(model, inputs), training=False))
    return [np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")))[:1] for each in found]


def _check_same(network: Network, model: keras.Model, inputs: list[Array], outputs: list[Array]) -> None:
    """Make sure that the network computes what the model does, before it is written.

    Normalizations are folded into the weights before them, which rounds in other places. A network whose values hardly
    vary, as may be where pruning has broken it, makes much of that.
    """
    known = computed(network, inputs)
    found = [known[value.name] for value in network.outputs]
    change = relative_change(outputs, found)
    if change <= _TOLERANCE:
        return
    if change > _ROUNDINGS * amplified_rounding(model, one_observation(model, inputs), outputs):
        raise NotEquivalentError(
            f"The network in C would not give the outputs of model {model.name!r}: they differ by {change:.1e} of the "
            f"largest output, more than {_TOLERANCE:.0e}, and than what rounding makes of them. Nothing was written."
        )


def _only(arrays: list[Array]) -> tuple[Array, ...]:
    return tuple(each[0] for each in arrays)
