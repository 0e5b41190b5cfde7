"""Which variables of a model can be pruned, and what their axes mean."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, cast, overload, runtime_checkable

import keras
import numpy as np
from numpy.typing import NDArray

from ._arrays import all_finite, masked
from ._backend import protected, read
from ._errors import InvalidModelError, NothingToPruneError, UnknownNameError

Role: TypeAlias = Literal["kernel", "bias", "gamma", "beta", "mean", "embedding", "other"]
AxisRole: TypeAlias = Literal["space", "input", "output", "other"]
Learnables: TypeAlias = Literal["weights", "all"]

# The last word of a variable's name ("recurrent_kernel") tells its role, in Keras' layers and most others.
_ROLES: dict[str, Role] = {
    "kernel": "kernel",
    "bias": "bias",
    "gamma": "gamma",
    "scale": "gamma",
    "beta": "beta",
    "embeddings": "embedding",
    "alpha": "other",
}
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@runtime_checkable
class Masking(Protocol):
    """A layer that puts masks over variables of the layers inside it while it runs."""

    def mask_of(self, variable: Any) -> Any:
        """The mask of a variable, a boolean Keras variable of its shape; None where it has none."""


@dataclass(frozen=True)
class Prunable:
    """One variable that can be pruned.

    Attributes:
        path: the variable's path, such as `"conv1/kernel"`; where two variables of a model have the same
            path, the later one gets `"#2"` at its end.
        within: the names of the layers that the variable stands in, from the outermost to its owner, such as
            `("encoder", "attention", "query")`. `Pruned` wrappers are left out.
        role: what the variable does.
        shape: its shape.
        axes: what each axis counts. A kernel's `"output"` axes count the channels (filters, units) that it
            makes.
        variable: the Keras variable itself.
        owner: the layer that owns it.
        containers: every layer that it stands in, the owner among them.
        mask: the mask that a `Pruned` wrapper puts over the variable, a boolean Keras variable; None elsewhere.
    """

    path: str
    within: tuple[str, ...]
    role: Role
    shape: tuple[int, ...]
    axes: tuple[AxisRole, ...]
    variable: Any = field(repr=False, compare=False)
    owner: Any = field(repr=False, compare=False)
    containers: tuple[Any, ...] = field(repr=False, compare=False)
    mask: Any = field(default=None, repr=False, compare=False)

    @property
    def layer(self) -> str:
        """The name of the layer that owns the variable."""
        return self.within[-1]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def output_axes(self) -> tuple[int, ...]:
        """The axes that count output channels."""
        return tuple(index for index, axis in enumerate(self.axes) if axis == "output")

    def value(self) -> NDArray[np.floating[Any]]:
        """A copy of what the variable is worth in its layer, under its mask; 16-bit types come as float32.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return self._finite(self._masked())

    def view(self) -> NDArray[np.floating[Any]]:
        """What `value` gives, to look at only: no copy where the backend allows that.

        Raises:
            InvalidModelError: a value is not finite.
        """
        if self.mask is not None:
            return self.value()
        return self._finite(protected(self.variable))

    def raw_value(self) -> NDArray[np.floating[Any]]:
        """A copy of the variable itself, whatever a mask hides of it.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return self._finite(self._array())

    def zeros(self) -> int:
        """How many of its weights are zero."""
        return self.size - int(np.count_nonzero(self._masked()))

    def _array(self) -> NDArray[Any]:
        value = np.asarray(keras.ops.convert_to_numpy(self.variable))
        # On torch the array that Keras gives shares its memory with the variable.
        return value if value.flags.owndata else value.copy()

    def _masked(self) -> NDArray[Any]:
        value = self._array()
        if self.mask is not None:
            value = masked(value, np.array(keras.ops.convert_to_numpy(self.mask), np.bool_))
        return value

    def _finite(self, value: NDArray[Any]) -> NDArray[np.floating[Any]]:
        value = value.astype(np.float64 if value.dtype == np.float64 else np.float32, copy=False)
        if not all_finite(value):
            bad = int(np.size(value) - np.count_nonzero(np.isfinite(value)))
            raise InvalidModelError(
                f"{self.path} has {bad} values that are NaN or infinite, which cannot be ranked. Was the "
                "training stable? Load weights from before it diverged, or leave it out with exclude=."
            )
        return value


@dataclass(frozen=True)
class Skipped:
    """One variable that is left alone, and why."""

    path: str
    layer: str
    reason: str


@dataclass(frozen=True)
class Prunables(Sequence[Prunable]):
    """The prunable variables of a model, in the model's order, and those that were skipped.

    Attributes:
        items: the prunable variables.
        skipped: every other variable of the model's layers, with its reason.
        learnables: which roles were asked for.
    """

    items: tuple[Prunable, ...]
    skipped: tuple[Skipped, ...]
    learnables: Learnables

    @overload
    def __getitem__(self, index: int) -> Prunable: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Prunable, ...]: ...
    def __getitem__(self, index: int | slice) -> Prunable | tuple[Prunable, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prunable]:
        return iter(self.items)

    @property
    def total(self) -> int:
        """The number of weights in all variables together: the N of every sparsity."""
        return sum(item.size for item in self.items)

    def read(self) -> dict[str, NDArray[Any]]:
        """The values by path, to look at only: where the backend allows it they are no copies."""
        return {item.path: read(item.variable) for item in self.items}

    def views(self) -> dict[str, NDArray[np.floating[Any]]]:
        """The values by path, to look at only, and only until the variables change.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return {item.path: item.view() for item in self.items}

    def values(self) -> dict[str, NDArray[np.floating[Any]]]:
        """Copies of the values, by path.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return {item.path: item.value() for item in self.items}


Filter: TypeAlias = "str | type | keras.layers.Layer | keras.Variable | Callable[[Prunable], bool]"
Filters: TypeAlias = "Filter | Iterable[Filter] | None"


def prunable(
    model: keras.Model,
    include: Filters = None,
    exclude: Filters = None,
    *,
    learnables: Learnables = "weights",
) -> Prunables:
    """Find the variables of a model that can be pruned.

    The search goes by variable, not by layer class: kernels inside attention, recurrent cells, wrappers,
    nested models and custom layers are found too, each once, however often its layer is shared. Frozen layers
    count like any other.

    Biases, normalizations and embedding tables are left alone. A table is prunable where `include` names its own layer,
    by name, pattern, class or object, or the table itself: a layer around it is not enough.

    A filter is a layer, a variable, a layer class, a function of a `Prunable` that returns a bool, a string,
    or a list of these. A string is a layer's name, a variable's path, or a pattern of either (`"conv*"`). A
    layer stands for all variables inside it.

    Args:
        model: a built model.
        include: only what matches one of these.
        exclude: nothing that matches one of these.
        learnables: `"weights"` for kernels only; `"all"` for every trainable variable: kernels, biases, the
            gamma and beta of normalizations, embeddings. These are MATLAB's `Learnables`.

    Returns:
        The prunable variables, with those that were skipped and why.

    Raises:
        InvalidModelError: `model` is not a Keras model, or not built.
        UnknownNameError: a name, layer or variable of a filter is not in the model.
        NothingToPruneError: no variable is left.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> hidden, out = keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="out")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out], name="net")
        >>> found = kpl.prunable(model, exclude="out")
        >>> [(item.path, item.shape) for item in found]
        [('net/hidden/kernel', (4, 3))]
        >>> found.skipped[0].reason
        "a bias; learnables='all' prunes it too"
    """
    if learnables not in ("weights", "all"):
        raise UnknownNameError(f"learnables={learnables!r} is unknown; it is 'weights' or 'all'.")
    candidates, untrained = find(_checked(model))
    included = _matcher(include, candidates, "include")
    excluded = _matcher(exclude, candidates, "exclude")
    items: list[Prunable] = []
    skipped: list[Skipped] = []
    for item in candidates:
        reason = reason_to_skip(item, learnables)
        if item.role == "embedding" and include is not None and included(replace(item, containers=(item.owner,))):
            reason = reason_to_skip(item, "all")
        if reason is None and include is not None and not included(item):
            reason = "not among what include= names"
        if reason is None and excluded(item):
            reason = "matches exclude="
        if reason is None:
            items.append(item)
        else:
            skipped.append(Skipped(item.path, item.layer, reason))
    skipped += [Skipped(item.path, item.layer, "a state of its layer, not trained") for item in untrained]
    if not items:
        reasons = "; ".join(f"{skip.path}: {skip.reason}" for skip in skipped[:8])
        raise NothingToPruneError(
            f"Model {model.name!r} has no weight to prune with learnables={learnables!r}, "
            f"include={include!r}, exclude={exclude!r}. "
            f"Skipped: {reasons or 'nothing; the model has no variables'}."
        )
    return Prunables(tuple(items), tuple(skipped), learnables)


def maskable(model: keras.Model) -> list[Prunable]:
    """Find the variables of a model that a mask can be for: the trained ones, and the means of batch normalizations.

    Args:
        model: a built model.

    Returns:
        The variables, in the same order for every copy of the model.

    Raises:
        InvalidModelError: `model` is not a Keras model, or not built.
    """
    trained, states = find(_checked(model))
    every = [*trained, *(item for item in states if item.role == "mean")]
    return [item for item in every if reason_to_skip(item, "all") is None]


def _checked(model: Any) -> Any:
    if not isinstance(model, keras.Model):
        raise InvalidModelError(
            f"A keras.Model was expected, not {type(model).__name__}; keras.saving.load_model loads a file."
        )
    if not model.built:
        raise InvalidModelError(
            f"Model {model.name!r} is not built, so it has no weights yet. Call it once on data, call its "
            "build(input_shape), or give it a keras.Input first."
        )
    return model


def find(top: Any) -> tuple[list[Prunable], list[Prunable]]:
    """Every variable of a layer or model and of the layers inside it.

    Args:
        top: a built layer or model.

    Returns:
        The variables that are trained, and the other ones.
    """
    containers: dict[int, list[Any]] = {}  # by the variable's id: its owners' chain, then all that contain it
    chains: dict[int, tuple[Any, ...]] = {}
    order: list[tuple[Any, bool]] = []

    def visit(layer: Any, chain: tuple[Any, ...]) -> None:
        for variables, trained in (
            (layer._trainable_variables, True),
            (layer._non_trainable_variables, False),
        ):
            for variable in variables:
                if id(variable) not in chains:
                    order.append((variable, trained))
                known = chains.setdefault(id(variable), chain)
                if chain[: len(known)] == known:  # some wrappers have the variables of the layer inside as their own
                    chains[id(variable)] = chain
                containers.setdefault(id(variable), []).extend(chain)
        for sublayer in layer._flatten_layers(include_self=False, recursive=False):
            if sublayer not in chain:
                visit(sublayer, (*chain, sublayer))

    visit(top, ())
    seen: dict[str, int] = {}
    found: tuple[list[Prunable], list[Prunable]] = ([], [])
    for variable, trained in order:
        chain = chains[id(variable)] or (top,)
        seen[variable.path] = count = seen.get(variable.path, 0) + 1
        role, shape = _role(variable, chain[-1]), tuple(int(length) for length in variable.shape)
        item = Prunable(
            path=variable.path if count == 1 else f"{variable.path}#{count}",
            within=tuple(layer.name for layer in chain if layer is chain[-1] or not isinstance(layer, Masking)),
            role=role,
            shape=shape,
            axes=_axes(chain[-1], role, shape, variable.name),
            variable=variable,
            owner=chain[-1],
            containers=tuple(containers[id(variable)]),
            mask=_mask(variable, containers[id(variable)]),
        )
        found[0 if trained else 1].append(item)
    return found


def _mask(variable: Any, containers: Iterable[Any]) -> Any:
    masks = (layer.mask_of(variable) for layer in containers if isinstance(layer, Masking))
    return next((mask for mask in masks if mask is not None), None)


def _role(variable: keras.Variable, owner: Any) -> Role:
    if isinstance(owner, keras.layers.BatchNormalization) and variable is owner.moving_mean:
        return "mean"  # a state, known by its owner: elsewhere a matrix may be called so
    if isinstance(owner, keras.layers.STFTSpectrogram):
        return "other"  # called kernels, but a Fourier basis
    if variable.name.startswith("lora_"):
        return "other"  # factors of what is added to a kernel: one of them is zero at first, and has to be trained
    role = _ROLES.get(variable.name.rpartition("_")[2])
    if role is not None:
        return role
    # A custom layer may call its matrix anything; a vector of an unknown name could be a scale or an offset.
    return "kernel" if len(variable.shape) >= 2 else "other"


def _axes(layer: Any, role: Role, shape: tuple[int, ...], name: str) -> tuple[AxisRole, ...]:
    rank = len(shape)
    one_space: AxisRole = "space"
    space = (one_space,) * (rank - 2)
    every: AxisRole = "output" if role in ("bias", "gamma", "beta") else "other"
    if role == "embedding" and rank == 2:
        return ("input", "output")
    if role != "kernel" or rank < 2:
        return (every,) * rank
    if isinstance(layer, keras.layers.EinsumDense):
        left, output = layer.equation.split("->")
        return tuple("output" if letter in output else "input" for letter in left.split(",")[1])
    if isinstance(layer, _TRANSPOSED):
        return (*space, "output", "input")
    if isinstance(layer, _DEPTHWISE) or name == "depthwise_kernel":
        # Every pair (input channel, multiplier) makes a channel of its own.
        return (*space, "output", "output")
    return (*space, "input", "output")


def reason_to_skip(item: Prunable, learnables: Learnables) -> str | None:
    """Why a trainable variable is left alone; None where it is not."""
    if not keras.backend.is_float_dtype(item.variable.dtype):
        return f"its values are {item.variable.dtype}; prune before quantizing"
    if learnables == "all" or item.role == "kernel":
        return None
    if item.role == "embedding":
        return "an embedding table, which is pruned where include= names its layer"
    kind = {
        "bias": "a bias",
        "gamma": "the scale of a normalization",
        "beta": "the offset of a normalization",
        "mean": "the mean of a normalization",
        "other": "neither a kernel nor of a known role",
    }[item.role]
    return f"{kind}; learnables='all' prunes it too"


def _matcher(filters: Filters, candidates: Sequence[Prunable], argument: str) -> Callable[[Prunable], bool]:
    """One predicate for all filters of an argument; names and objects not in the model are refused."""
    if filters is None:
        return lambda _: False
    several = isinstance(filters, Iterable) and not isinstance(filters, (str, keras.Variable))
    predicates = []
    one: Any
    for one in cast("Iterable[Any]", filters) if several else (filters,):
        predicate = _predicate(one, argument)
        named = isinstance(one, (str, keras.layers.Layer, keras.Variable))
        if named and not any(map(predicate, candidates)):
            names = ", ".join(dict.fromkeys(item.layer for item in candidates))
            given = one if isinstance(one, str) else one.name
            raise UnknownNameError(
                f"{argument}={given!r} matches no layer and no variable with trainable values of the model. "
                f"Its layers with such variables are: {names}."
            )
        predicates.append(predicate)
    return lambda item: any(predicate(item) for predicate in predicates)


def _predicate(one: Any, argument: str) -> Callable[[Prunable], bool]:
    if isinstance(one, str):
        return lambda item: any(
            fnmatch.fnmatchcase(name, one) for name in (item.path, *(layer.name for layer in item.containers))
        )
    if isinstance(one, type):
        return lambda item: any(isinstance(layer, one) for layer in item.containers)
    if isinstance(one, keras.layers.Layer):
        return lambda item: any(layer is one for layer in item.containers)
    if isinstance(one, keras.Variable):
        return lambda item: item.variable is one
    if callable(one):
        return lambda item: bool(one(item))
    raise UnknownNameError(
        f"{argument} holds {one!r} of type {type(one).__name__}; a filter is a layer, a variable, a layer "
        "class, a name or pattern, or a function of a Prunable."
    )
