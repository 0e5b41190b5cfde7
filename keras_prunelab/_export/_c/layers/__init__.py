"""Layers of Keras that have a form in C, one file a family; importing it registers them."""

from . import _activation, _convolution, _dense, _merge, _normalization, _pooling, _recurrent, _shape

__all__ = ["_activation", "_convolution", "_dense", "_merge", "_normalization", "_pooling", "_recurrent", "_shape"]
