"""What a callback changes in a model's train step, put in for one `fit` and taken out again.

Each kind of change needs a train step that is traced and compiled with it. So the train function that the model had
before and the one with the change are both kept, from one `fit` to the next: whoever trains a model by many calls of
`fit` waits for the compiler once. What is kept is forgotten where Keras would make its train function anew too: after
`compile` or `quantize`, and where layers were frozen or thawed.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras

from keras_prunelab._backend import steps_are_pure
from keras_prunelab._model._optimizers import chain, leaves

_ATTRIBUTE = "_keras_prunelab_kept"
_FILES = ("save_own_variables", "load_own_variables")
_Kind = TypeVar("_Kind")


@dataclass(eq=False)
class Alteration:
    """Methods of optimizers that are replaced, and variables that their updates read and callbacks write.

    Attributes:
        optimizers: the outermost optimizers that are changed.
        replacements: an optimizer, the name of one of its methods, and what stands for it: a function of that method
            and its arguments.
        state: an optimizer, and a variable that its updates read.
    """

    optimizers: Sequence[Any]
    replacements: Sequence[tuple[Any, str, Callable[..., Any]]]
    state: Sequence[tuple[Any, Any]]
    _replaced: list[tuple[Any, str, Any, Any]] = field(default_factory=list)  # part, name, ours, what stood before

    def put_in(self) -> None:
        """Change the optimizers."""
        for part, name, function in self.replacements:
            self._replace(part, name, function)
        if steps_are_pure():  # there only a variable of the model or the optimizer can change between two steps
            for leaf, variable in self.state:
                leaf._variables.append(variable)
            hidden = [variable for _, variable in self.state]
            for optimizer in self.optimizers if hidden else ():
                for part in chain(optimizer):
                    for name in _FILES:
                        self._replace(part, name, functools.partial(_without, optimizer, hidden))

    def take_out(self) -> None:
        """Leave the optimizers as they were."""
        for part, name, ours, before in reversed(self._replaced):
            if vars(part).get(name) is ours:
                del vars(part)[name]
                if before is not None:
                    vars(part)[name] = before
        self._replaced.clear()
        if steps_are_pure():
            ids = {id(variable) for _, variable in self.state}
            for leaf in {id(leaf): leaf for leaf, _ in self.state}.values():
                leaf._variables[:] = [variable for variable in leaf._variables if id(variable) not in ids]

    def _replace(self, part: Any, name: str, function: Callable[..., Any]) -> None:
        ours = functools.partial(function, getattr(part, name))
        self._replaced.append((part, name, ours, vars(part).get(name)))
        vars(part)[name] = ours  # past __setattr__, so that TensorFlow does not track it


class _Kept:
    """The train functions of a model, and what they were made for."""

    def __init__(self) -> None:
        self.plain: Any = None
        self.functions: dict[tuple[int, ...], Any] = {}
        self.made: dict[Hashable, Any] = {}
        self.active: list[Alteration] = []
        self._trained: list[Any] = []

    def refresh(self, model: keras.Model) -> None:
        """Forget everything where the model is not trained any more as it was."""
        if model.train_function is None and model.compiled:
            model.make_train_function()
        trained = _trained(model)
        same = len(trained) == len(self._trained) and all(map(operator.is_, trained, self._trained))
        if not same or model.train_function is not self.plain:
            self.functions.clear()
            self.made.clear()
        self.plain, self._trained = model.train_function, trained

    def __reduce__(self) -> Any:
        return _Kept, ()  # copies of a model have train functions of their own


def kept(model: keras.Model, key: Hashable, make: Callable[[], _Kind]) -> _Kind:
    """What a change of the train step is made of, made once as long as the model is trained in the same way.

    Args:
        model: a built model.
        key: what it is made for; what `id` gives in it has to belong to what it holds.
        make: makes it.
    """
    store = _store(model)
    if not store.active:
        store.refresh(model)
    if key not in store.made:
        store.made[key] = make()
    found: _Kind = store.made[key]
    return found


def alter(model: keras.Model, alteration: Alteration) -> None:
    """Put a change into the train step of a model.

    Args:
        model: a built model.
        alteration: the change; part of something that `kept` gave.
    """
    store = _store(model)
    if not store.active:
        store.refresh(model)
    alteration.put_in()
    store.active.append(alteration)
    _switch(model, store)


def restore(model: keras.Model, alteration: Alteration) -> None:
    """Take a change out of the train step of a model.

    Args:
        model: the model.
        alteration: the change; nothing is done where it is not in.
    """
    store = _store(model)
    if alteration not in store.active:
        return
    is_ours = model.train_function is store.functions.get(_key(store))
    for each in reversed(store.active):  # one may have been put in over another
        each.take_out()
    store.active.remove(alteration)
    for each in store.active:
        each.put_in()
    if is_ours:
        _switch(model, store)
    elif model.train_function is not None:  # somebody had it made anew, with the change in it
        store.functions.clear()
        model.make_train_function(force=True)


def _switch(model: keras.Model, store: _Kept) -> None:
    if not model.compiled:
        return
    if not store.active:
        model.train_function = store.plain
    elif _key(store) in store.functions:
        model.train_function = store.functions[_key(store)]
    else:
        store.functions[_key(store)] = _made(model)


def _made(model: keras.Model) -> Any:
    """A train function that is traced with what is active now."""
    own = vars(model).get("train_step")
    # A function of its own, because JAX finds traces by the function, and bound methods of one object are equal.
    vars(model)["train_step"] = functools.partial(model.train_step)
    try:
        model.make_train_function(force=True)
    finally:
        del vars(model)["train_step"]
        if own is not None:
            vars(model)["train_step"] = own
    return model.train_function


def _key(store: _Kept) -> tuple[int, ...]:
    return tuple(map(id, store.active))


def _store(model: keras.Model) -> _Kept:
    return vars(model).setdefault(_ATTRIBUTE, _Kept())  # type: ignore[no-any-return]


def _trained(model: keras.Model) -> list[Any]:
    """What a trace of the train step depends on: the optimizer, the trained variables, and which layers are frozen."""
    layers = model._flatten_layers()
    return [getattr(model, "optimizer", None), *model.trainable_variables, *(layer.trainable for layer in layers)]


def _without(optimizer: Any, hidden: Iterable[Any], method: Callable[[Any], None], store: Any) -> None:
    """Save or load an optimizer's state as plain Keras knows it, or it would be refused as a whole."""
    ids = set(map(id, hidden))
    before = [(leaf, leaf._variables) for leaf in leaves(optimizer)]
    for leaf, variables in before:
        vars(leaf)["_variables"] = [variable for variable in variables if id(variable) not in ids]
    try:
        method(store)
    finally:
        for leaf, variables in before:
            vars(leaf)["_variables"] = variables
