"""A layer that is pruned, and keeps its masks with it."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from keras_prunelab import schedules, scores
from keras_prunelab._errors import InvalidMaskError, InvalidModelError, NothingToPruneError, UnknownNameError
from keras_prunelab._model._prunable import reason_to_skip
from keras_prunelab._model._roles import find
from keras_prunelab._model._variables import Prunable
from keras_prunelab._select import _granularity
from keras_prunelab._select._granularity import GranularityLike
from keras_prunelab._select._masks import Masks, MaskSet

from ._substitution import Substitution

Gradients: TypeAlias = Literal["masked", "dense"]


@keras.saving.register_keras_serializable(package="keras_prunelab")
class Pruned(keras.layers.Wrapper):
    """A layer with masks over its weights.

    While the layer inside runs, it sees zeros in the place of its pruned weights. The masks are weights of the
    wrapper that are not trained, one byte for each weight, and so in every `.keras` and `.weights.h5` file. They
    hold with or without a callback; `keras_prunelab.callbacks.UpdateMasks` changes them while `fit` runs, as the
    schedule says. All weights of the layer are ranked together.

    With `gradients="masked"` pruned weights get no gradient, and stay pruned. In training the momentum or the weight
    decay of an optimizer may still move them where no output shows it; saving writes zeros there first, and so does
    `UpdateMasks` at the end of each epoch. With `gradients="dense"` pruned weights go on learning behind their masks,
    by the gradient of the weight that the layer sees, and can come back: Lin et al., Dynamic model pruning with
    feedback, ICLR 2020, https://arxiv.org/abs/2006.07253.

    To load a file with such layers, import `keras_prunelab.layers` first; `strip` makes a plain model.

    Args:
        layer: any Keras layer with kernels, or with layers inside it that have some: recurrent layers, attention,
            `Bidirectional`, `TimeDistributed`, models, layers of one's own. The wrapper takes its name.
        schedule: which sparsity at which optimizer step; a number holds from the beginning.
        score: what decides which weights go first; see `keras_prunelab.scores`.
        granularity: what goes as a whole: `"weight"`, `"2:4"`, `"4x4"`, `"channel"`.
        gradients: `"masked"` or `"dense"`.
        variables: names or patterns of the variables to prune, such as `"recurrent_kernel"` or
            `"forward_*/kernel"`, where a variable that a layer inside owns has its path inside; by default all kernels.
        **kwargs: `name` and `trainable`, as for any layer.

    Attributes:
        layer: the layer inside.

    Raises:
        InvalidModelError: `layer` is none, is pruned already, or does not read its weights through Keras. Like the
            next two it is raised once the layer is built.
        NothingToPruneError: the layer has no kernel.
        InvalidSparsityError: the granularity does not fit the layer.
        UnknownNameError: there is no such schedule, score, granularity or variable.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> hidden = kpl.layers.Pruned(keras.layers.Dense(16, "relu", name="hidden"), 0.75)
        >>> model = keras.Sequential([keras.Input((8,)), hidden, keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> update = kpl.callbacks.UpdateMasks()
        >>> history = model.fit(np.ones((8, 8)), np.ones((8, 2)), verbose=0, callbacks=[update])
        >>> hidden.masks
        <MaskSet of 1 variables: 96 of 128 weights pruned (75.00%)>
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        schedule: schedules.ScheduleLike,
        score: scores.ScoreLike = "magnitude",
        *,
        granularity: GranularityLike = "weight",
        gradients: Gradients = "masked",
        variables: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, keras.layers.Layer) or isinstance(layer, Pruned):
            raise InvalidModelError(
                f"Pruned wraps a layer of Keras that is not pruned yet, not {layer!r} of type {type(layer).__name__}."
            )
        if gradients not in ("masked", "dense"):
            raise UnknownNameError(f"gradients={gradients!r} is unknown; it is 'masked' or 'dense'.")
        # Keras asks `call` for its arguments: they are those of the layer inside.
        self.call = functools.partial(self._call)
        self.call.__signature__ = inspect.signature(layer.call)  # type: ignore[attr-defined]
        # Of one type and without casts, so that inputs and weights come to the layer inside as they are.
        super().__init__(layer, **{"name": layer.name, "dtype": layer.variable_dtype, "autocast": False, **kwargs})
        self.schedule = schedules.get(schedule)
        self.score = scores.get(score)
        self.granularity = _granularity.get(granularity)
        self.gradients = gradients
        self.variable_patterns = (variables,) if isinstance(variables, str) else variables and tuple(variables)
        self.supports_masking = layer.supports_masking
        self._pruned: dict[str, Prunable] = {}

    # What it is for ----------------------------------------------------------------------------------------------

    @property
    def masks(self) -> MaskSet:
        """The masks in force, by the name of the variable inside the layer, such as `"kernel"`."""
        return MaskSet(
            {name: np.array(keras.ops.convert_to_numpy(item.mask), np.bool_) for name, item in self._pruned.items()}
        )

    def set_masks(self, masks: Masks) -> None:
        """Let masks hold from now on.

        With `gradients="masked"` zeros are written into the weights too, so that what is pruned once stays zero.

        Args:
            masks: boolean arrays by the name of the variable inside the layer, as `masks` gives them; those that are
                missing stay as they are.

        Raises:
            InvalidMaskError: a mask is not boolean, or fits none of the layer's variables.
        """
        for name, mask in MaskSet(masks).items():
            if name not in self._pruned or self._pruned[name].shape != mask.shape:
                known = ", ".join(f"{key!r} {item.shape}" for key, item in self._pruned.items())
                raise InvalidMaskError(
                    f"Layer {self.name!r} has no pruned variable {name!r} of shape {mask.shape}; it has "
                    f"{known or 'none before it is built'}."
                )
        for name, mask in masks.items():
            self._pruned[name].mask.assign(mask)
        self.write_zeros()

    def write_zeros(self) -> None:
        """Write zeros into the weights that are pruned, unless these go on learning behind their masks."""
        if self.gradients == "masked":
            for item in self._pruned.values():
                value = keras.ops.convert_to_numpy(item.variable)
                mask = np.array(keras.ops.convert_to_numpy(item.mask), np.bool_)
                item.variable.assign(np.where(mask, value, np.zeros((), value.dtype)))

    def mask_of(self, variable: Any) -> Any:
        """The mask of a variable of the layer inside, a boolean Keras variable; None where it has none."""
        return next((item.mask for item in self._pruned.values() if item.variable is variable), None)

    def around(self, layer: keras.layers.Layer) -> Pruned:
        """Wrap another layer in the same way.

        Args:
            layer: the layer.

        Returns:
            A new wrapper; its masks keep everything.
        """
        return type(self)(
            layer,
            self.schedule,
            self.score,
            granularity=self.granularity,
            gradients=self.gradients,
            variables=self.variable_patterns,
            name=self.name,
            trainable=self.trainable,
        )

    # What Keras calls --------------------------------------------------------------------------------------------

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Build the layer inside, then the masks."""
        if not self.layer.built:
            self.layer.build(*shapes, **named_shapes)
        self._pruned = {
            name: dataclasses.replace(
                item,
                mask=self.add_weight(
                    shape=item.shape,
                    initializer="ones",
                    dtype="bool",
                    trainable=False,
                    aggregation="only_first_replica",
                    name=f"{name.replace('/', '_')}_mask",
                ),
            )
            for name, item in self._chosen().items()
        }
        for name, item in self._pruned.items():
            # TensorFlow's checkpoints and SavedModels hold what is an attribute.
            setattr(self, f"_{name.replace('/', '_')}_mask", item.mask)
        self.granularity.check(self._pruned.values())

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if any(getattr(item.owner, "_is_quantized", False) for item in self._pruned.values()):
            raise InvalidModelError(
                f"Layer {self.name!r} was quantized inside its wrapper. Call keras_prunelab.layers.strip(model) first, "
                "then quantize; zeros stay zero."
            )
        if any(getattr(item.owner, "lora_enabled", False) for item in self._pruned.values()):
            raise InvalidModelError(
                f"Layer {self.name!r} has LoRA inside its wrapper, whose dense product makes zeros of the kernel none. "
                "Merge it: keras_prunelab.layers.merge_lora(model), then compile the model again."
            )
        items = list(self._pruned.values())
        masks = [item.mask.value for item in items]
        with Substitution(
            [item.variable for item in items], lambda index, value: _effective(value, masks[index], self.gradients)
        ) as scope:
            outputs = self.layer(*args, **kwargs)
        for loss in scope.losses:
            self.add_loss(loss)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs' shapes and types: those of the layer inside."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs' shapes: those of the layer inside."""
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs' time steps: that of the layer inside."""
        return self.layer.compute_mask(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again.

        Raises:
            UnknownNameError: the schedule's or the score's class is not registered.
        """
        config = {name: value for name, value in super().get_config().items() if name in ("name", "trainable", "layer")}
        config["layer"].pop("build_config", None)  # the layer is built inside its wrapper, where its variables belong
        return config | {
            "schedule": schedules.serialize(self.schedule),
            "score": scores.serialize(self.score),
            "granularity": str(self.granularity),
            "gradients": self.gradients,
            "variables": self.variable_patterns and list(self.variable_patterns),
        }

    def get_build_config(self) -> dict[str, Any]:
        """What the layer inside is built from."""
        return {"layer": self.layer.get_build_config()}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the layer inside and the masks, before Keras reads their weights from a file."""
        with self._open_name_scope():
            if not self.layer.built:
                self.layer.build_from_config(config["layer"])
        if self.layer.built:
            self.build()

    def save_own_variables(self, store: Any) -> None:
        """Write the masks into a group of a file. Keras writes the layer inside after this."""
        self.write_zeros()
        super().save_own_variables(store)

    # How it works ------------------------------------------------------------------------------------------------

    def _maybe_build(self, call_spec: Any) -> None:
        # Keras builds from a call what cannot be built from shapes alone; so the layer inside is shown the call.
        if not self.built:
            with self.layer._open_name_scope():
                self.layer._maybe_build(call_spec)
            self.build()

    def _chosen(self) -> dict[str, Prunable]:
        """The variables to prune, by their names inside the layer."""
        kind = f"Layer {self.layer.name!r} of class {type(self.layer).__name__}"
        if not self.layer.built:
            raise InvalidModelError(
                f"{kind} did not make its weights when it was built. Call it on data once before it is wrapped, or "
                "make its weights and layers in __init__ and build."
            )
        candidates = inside(self.layer)
        chosen = {name: item for name, item in candidates.items() if self._matches(name, item, candidates)}
        for pattern in self.variable_patterns or ():
            if pattern not in candidates and not any(_fits(name, pattern) for name in candidates):
                names = ", ".join(map(repr, candidates)) or "none"
                raise UnknownNameError(f"{kind} has no trainable variable {pattern!r}; it has {names}.")
        if not chosen:
            reasons = "; ".join(f"{name}: {reason_to_skip(item, 'weights')}" for name, item in candidates.items())
            found = (
                f"It has {reasons}; or variables={next(iter(candidates))!r}." if candidates else "It has no weights."
            )
            raise NothingToPruneError(f"{kind} has no kernel to prune. {found}")
        outside = [name for name, item in chosen.items() if isinstance(item.owner, keras.layers.TorchModuleWrapper)]
        if outside:
            raise InvalidModelError(
                f"{kind} has weights that torch reads by itself, past Keras: {', '.join(outside)}. A wrapper cannot "
                "mask these; keras_prunelab.callbacks.Prune can."
            )
        if keras.config.backend() == "tensorflow" and any(each._remat_mode for each in self.layer._flatten_layers()):
            raise InvalidModelError(
                f"{kind} was made in a keras.RematScope. On TensorFlow the gradient of what is computed anew does not "
                "reach weights behind a mask; make the layer outside of that scope."
            )
        pruned = [name for name, item in chosen.items() if item.mask is not None]
        if pruned:
            raise InvalidModelError(
                f"{kind} has layers inside it that are pruned already: {', '.join(pruned)}. Wrap these or the whole."
            )
        return chosen

    def _matches(self, name: str, item: Prunable, candidates: Mapping[str, Prunable]) -> bool:
        if self.variable_patterns is None:
            return reason_to_skip(item, "weights") is None
        return reason_to_skip(item, "all") is None and any(
            # A name means one variable; a pattern, or the last word of names, any number.
            name == each if each in candidates else _fits(name, each)
            for each in self.variable_patterns
        )


def inside(layer: Any) -> dict[str, Prunable]:
    """The trained variables of a layer and of the layers inside it, by their names as seen from the layer."""
    found: dict[str, Prunable] = {}
    for item in find(layer)[0]:
        within = () if item.owner is layer else item.within
        name = "/".join((*within, item.variable.name))
        found[name if name not in found else f"{name}#{len(found)}"] = item
    return found


def _effective(value: Any, mask: Any, gradients: Gradients) -> Any:
    """What a layer sees of a weight."""
    # Not a product: it would keep NaN, and make -0.0 of negative numbers.
    masked = keras.ops.where(mask, value, keras.ops.zeros_like(value))
    if gradients == "masked":
        return masked
    # Equal to the masked weight, to the last bit, but with the gradient of the weight itself.
    return value + keras.ops.stop_gradient(masked - value)


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.rpartition("/")[2], pattern)
