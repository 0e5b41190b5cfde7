"""Element-wise functions, and what they make of constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

from ._channels import Values

_known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_PROBE = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)


def apply(function: Callable[..., Any] | None, values: Values, *more: Values) -> Values:
    """What an elementwise function makes of constants; what varies (NaN) still does.

    Args:
        function: takes a tensor of any shape, or several of one shape; None for the identity.
        values: numbers and NaN.
        more: the same for each further tensor.

    Returns:
        The function's values, with NaN where one of its arguments has NaN, and where no bias could take the value up.
    """
    given = (values, *more)
    varies = np.isnan(given).any(axis=0)
    if function is None or function is keras.activations.linear or varies.all():
        return np.where(varies, np.nan, values)
    tensors = (keras.ops.convert_to_tensor(np.nan_to_num(each), "float32") for each in given)
    found = np.asarray(keras.ops.convert_to_numpy(function(*tensors)), np.float64)
    return np.where(varies | ~np.isfinite(found), np.nan, found)


def is_elementwise(function: Callable[[Any], Any] | None) -> bool:
    """Whether a function treats each number by itself, and all alike; found out by trying.

    Args:
        function: takes a tensor, such as an activation; None for the identity.

    Returns:
        True for ReLU, False for softmax.
    """
    if function is None or function is keras.activations.linear:
        return True
    try:
        if function not in _known:
            _known[function] = _try(function)
        return _known[function]
    except TypeError:  # it cannot be remembered, as NumPy's own functions
        return _try(function)


def _try(function: Callable[[Any], Any]) -> bool:
    if isinstance(function, keras.layers.Layer) and (function.weights or not function.built):
        return False  # the probe would build it, with weights of the probe's shape

    def call(array: Any) -> Any:
        return np.asarray(keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(array))))

    try:
        whole = call(_PROBE)
        # Each row has one number in common with the probe, and others are moved about or changed.
        other = np.where(np.eye(6, dtype=np.bool_), _PROBE, _PROBE[::-1, ::-1] * 1.7 + 0.3)
        turned = call(_PROBE.T)
        changed = call(other)
        narrow = call(_PROBE[:, :5])  # limits for each of six channels would fit the probe by chance
    except Exception:  # noqa: BLE001 # each backend has its own for a shape that a function does not take
        return False
    return (
        whole.shape == _PROBE.shape
        and np.allclose(narrow, whole[:, :5], rtol=1e-5, atol=1e-6, equal_nan=True)
        and np.allclose(turned, whole.T, rtol=1e-5, atol=1e-6, equal_nan=True)
        and np.allclose(np.diag(changed), np.diag(whole), rtol=1e-5, atol=1e-6, equal_nan=True)
    )
