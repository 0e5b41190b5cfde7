"""Other values for some variables while a layer runs, on every backend, traced or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras


class Substitution(keras.StatelessScope):
    """A scope in which some variables have other values, and all else is as it is outside of it.

    Keras asks the innermost `StatelessScope` for the value of a variable, and tells it of assignments and losses.
    This one passes on what is not its own: to the scope around it, where a train step of JAX or a compiled score
    put one, or to the variable itself.

    Args:
        variables: the variables.
        substitute: what stands for the value of the variable at an index, given that value.

    Attributes:
        losses: what layers added while no scope around this one collected it.
    """

    def __init__(self, variables: Sequence[Any], substitute: Callable[[int, Any], Any]) -> None:
        self._substitute = substitute
        self._index = {id(variable): index for index, variable in enumerate(variables)}
        # Made here, not where a variable is read: that may be inside the body of a loop, whose tensors stay in it.
        values = [(variable, substitute(index, variable.value)) for index, variable in enumerate(variables)]
        super().__init__(collect_losses=True)
        # A mapping would be cast to the variables' own types, and a score may compute in float64.
        self.state_mapping.update((id(variable), value) for variable, value in values)

    def __enter__(self) -> Substitution:
        super().__enter__()
        if self.original_scope is not None:
            self.collect_losses = self.original_scope.collect_losses
        return self

    def get_current_value(self, variable: Any) -> Any:
        """The value of a variable; None where it is the one that the variable itself holds."""
        if id(variable) in self.state_mapping:
            return super().get_current_value(variable)
        return None if self.original_scope is None else self.original_scope.get_current_value(variable)

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Pass an assignment on."""
        variable, value = update
        self.state_mapping.pop(id(variable), None)  # it would stand for the variable while that is written
        if self.original_scope is None:
            variable._direct_assign(value)
        else:
            self.original_scope.add_update(update)
        if id(variable) in self._index:
            super().add_update((variable, self._substitute(self._index[id(variable)], variable.value)))

    def add_loss(self, loss: Any) -> None:
        """Pass a loss on, or keep it."""
        if self.original_scope is None:
            super().add_loss(loss)
        else:
            self.original_scope.add_loss(loss)
