"""What MATLAB's layers compute, in NumPy and double precision, written from their documentation: a second opinion.

Every function takes the layer and its inputs, images (H, W, C) or vectors (C,), of one observation.
Source: https://www.mathworks.com/help/deeplearning/ug/list-of-deep-learning-layers.html and the pages it lists.
"""

from __future__ import annotations

import numpy as np

from matlab_bridge import Layer, Network

from . import numpy_sequences

Array = np.ndarray


def forward(network: Network, *inputs: Array) -> Array:
    """The output of the last layer for one observation, by following the connections."""
    given = list(inputs)
    values: dict[str, Array] = {}
    for layer in network.execution_order:
        arguments = [values[connection.source] for connection in network.inputs_of(layer.name)]
        if not arguments:
            arguments = [given.pop(0).astype(float)]
        values[layer.name] = COMPUTE[layer.kind](layer, *arguments)
    last = set(values) - {connection.source for connection in network.connections}
    return values[last.pop()]


def setting(layer: Layer, name: str) -> list[int]:
    return [int(number) for number in np.ravel(layer.settings[name])]


def sides(layer: Layer, image: Array, size: list[int], stride: list[int]) -> tuple[tuple[int, int], ...]:
    if layer.settings["PaddingMode"] == "same":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(image.shape, size, stride, strict=False)]
        return tuple((t // 2, t - t // 2) for t in total)
    top, bottom, left, right = setting(layer, "PaddingSize")
    return (top, bottom), (left, right)


def windows(image: Array, size: list[int], stride: list[int], dilation: tuple[int, ...] = (1, 1)) -> Array:
    """(rows, columns, C, FH, FW): what each output pixel sees."""
    extent = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(image, extent, axis=(0, 1))
    return seen[:: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def image_input(layer: Layer, image: Array) -> Array:
    normalization = layer.settings.get("Normalization")
    if not isinstance(normalization, dict):
        return image
    mean = np.asarray(normalization["AverageImage"], dtype=float)
    return image - mean.reshape(mean.shape + (1,) * (3 - mean.ndim))


def correlate(image: Array, weights: Array, bias: Array, stride: list[int], dilation: tuple[int, ...]) -> Array:
    seen = windows(image, list(weights.shape[:2]), stride, dilation)
    return np.einsum("yxcij,ijck->yxk", seen, weights) + bias.ravel()


def convolution(layer: Layer, image: Array) -> Array:
    size, stride = setting(layer, "FilterSize"), setting(layer, "Stride")
    dilation = tuple(setting(layer, "DilationFactor"))
    extent = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    padded = np.pad(image, (*sides(layer, image, extent, stride), (0, 0)))
    filters = setting(layer, "NumFilters")  # two numbers are two groups, in files of R2016
    channels = image.shape[-1] // len(filters)
    weights = layer.learnables["Weights"].astype(float).reshape(*size, channels, sum(filters), order="F")
    bias = layer.learnables["Bias"].astype(float).ravel(order="F")
    ends = np.cumsum([0, *filters])
    parts = [
        correlate(
            padded[:, :, group * channels : (group + 1) * channels],
            weights[..., ends[group] : ends[group + 1]],
            bias[ends[group] : ends[group + 1]],
            stride,
            dilation,
        )
        for group in range(len(filters))
    ]
    return np.concatenate(parts, axis=-1)


def grouped_convolution(layer: Layer, image: Array) -> Array:
    size, stride = setting(layer, "FilterSize"), setting(layer, "Stride")
    groups, filters = setting(layer, "NumGroups")[0], setting(layer, "NumFiltersPerGroup")[0]
    channels = image.shape[-1] // groups
    weights = layer.learnables["Weights"].astype(float).reshape(*size, channels, filters, groups, order="F")
    bias = layer.learnables["Bias"].astype(float).reshape(filters, groups, order="F")
    padded = np.pad(image, (*sides(layer, image, size, stride), (0, 0)))
    parts = [
        correlate(padded[:, :, g * channels : (g + 1) * channels], weights[..., g], bias[:, g], stride, (1, 1))
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=-1)


def transposed_convolution(layer: Layer, image: Array) -> Array:
    size, stride = setting(layer, "FilterSize"), setting(layer, "Stride")
    weights = layer.learnables["Weights"].astype(float).reshape(*size, -1, image.shape[-1], order="F")
    height, width = ((n - 1) * s + k for n, s, k in zip(image.shape, stride, size, strict=False))
    out = np.zeros((height, width, weights.shape[2]))
    for y, x in np.ndindex(*image.shape[:2]):
        at = np.s_[y * stride[0] : y * stride[0] + size[0], x * stride[1] : x * stride[1] + size[1]]
        out[at] += weights @ image[y, x]
    out += layer.learnables["Bias"].astype(float).ravel()
    top, bottom, left, right = setting(layer, "CroppingSize")
    return out[top : height - bottom, left : width - right]


def pooling(layer: Layer, image: Array) -> Array:
    largest = layer.kind.startswith("Max")
    size, stride = setting(layer, "PoolSize"), setting(layer, "Stride")
    around = (*sides(layer, image, size, stride), (0, 0))
    seen = windows(np.pad(image, around, constant_values=-np.inf if largest else 0.0), size, stride)
    return seen.max(axis=(-2, -1)) if largest else seen.mean(axis=(-2, -1))


def cross_channel(layer: Layer, image: Array) -> Array:
    window, alpha, beta, k = (
        float(np.ravel(layer.settings[name])[0]) for name in ("WindowChannelSize", "Alpha", "Beta", "K")
    )
    reach = int(window) // 2
    squares = np.pad(image**2, ((0, 0), (0, 0), (reach, reach)))
    total = np.lib.stride_tricks.sliding_window_view(squares, 2 * reach + 1, axis=2).sum(axis=-1)
    return image / (k + alpha * total / window) ** beta


def batch_normalization(layer: Layer, value: Array) -> Array:
    mean, variance, offset, scale = (
        layer.parameters[name].astype(float).ravel() for name in ("TrainedMean", "TrainedVariance", "Offset", "Scale")
    )
    epsilon = float(np.ravel(layer.settings["Epsilon"])[0])
    return scale * (value - mean) / np.sqrt(variance + epsilon) + offset


def fully_connected(layer: Layer, value: Array) -> Array:
    weights = layer.learnables["Weights"].astype(float)
    size = setting(layer, "OutputSize")[-1]
    if value.ndim == 2:  # each step of a sequence
        return value @ weights.reshape(size, -1).T + layer.learnables["Bias"].astype(float).ravel()
    if weights.ndim > 2:  # H x W x C x O
        products = np.tensordot(value, weights.reshape(*value.shape, size), axes=value.ndim)
    else:  # O x (H W C), where H runs fastest
        products = weights.reshape(size, -1) @ value.ravel(order="F")
    return products + layer.learnables["Bias"].astype(float).ravel()


def softmax(layer: Layer, value: Array) -> Array:
    exponentials = np.exp(value - value.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def leaky(layer: Layer, value: Array) -> Array:
    return np.where(value > 0, value, float(np.ravel(layer.settings["Scale"])[0]) * value)


def scaling(layer: Layer, image: Array) -> Array:
    """By implicit expansion: dimensions of 1, and those that an array has not, are spread."""
    arrays = (np.asarray(layer.settings[name], dtype=float) for name in ("Scale", "Offset"))
    scale, offset = (array.reshape(array.shape + (1,) * (image.ndim - array.ndim)) for array in arrays)
    return scale * image + offset


COMPUTE = {
    "ImageInputLayer": image_input,
    "Convolution2DLayer": convolution,
    "GroupedConvolution2DLayer": grouped_convolution,
    "TransposedConvolution2DLayer": transposed_convolution,
    "MaxPooling2DLayer": pooling,
    "AveragePooling2DLayer": pooling,
    "GlobalAveragePooling2DLayer": lambda layer, image: image.mean(axis=(0, 1), keepdims=True),
    "CrossChannelNormalizationLayer": cross_channel,
    "BatchNormalizationLayer": batch_normalization,
    "FullyConnectedLayer": fully_connected,
    "ScalingLayer": scaling,
    "SoftmaxLayer": softmax,
    "ReLULayer": lambda layer, value: np.maximum(value, 0),
    "LeakyReLULayer": leaky,
    "DropoutLayer": lambda layer, value: value,
    "AdditionLayer": lambda layer, *values: sum(values),
    "DepthConcatenationLayer": lambda layer, *values: np.concatenate(values, axis=-1),
    "ClassificationOutputLayer": lambda layer, value: value,
    "RegressionOutputLayer": lambda layer, value: value,
    **numpy_sequences.COMPUTE,
}
