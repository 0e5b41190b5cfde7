"""A network as the table of layers that MATLAB shows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from ._layer import Layer, class_names
from ._normalization import Normalization
from ._summary_sources import SOURCE_TYPES
from ._text import one_line
from .matfile._elements import texts

# A network for ImageNet has a thousand.
_CLASSES_SHOWN = 10


def layer_table(layers: Sequence[Layer], title: str, classes: Sequence[str] = ()) -> str:
    """Show the layers of a network as MATLAB does, with the number of learnables of each.

    Args:
        layers: in their stored order; they need not be convertible.
        title: what the network is and where it stands.
        classes: the names of the classes.

    Returns:
        A heading, the inputs, the classes if there are any, and one line a layer in the stored order: number,
        name, type, description, learnables.
    """
    heads = ("", "Name", "Type", "Description", "Learnables")
    rows = [
        (str(number), *map(one_line, (layer.name, layer_type(layer), description(layer))), f"{learnables(layer):,}")
        for number, layer in enumerate(layers, start=1)
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    # The columns of numbers, the first and the last, are flush right.
    line = "{0:>{5}}  {1:<{6}}  {2:<{7}}  {3:<{8}}  {4:>{9}}"
    return "\n".join([*_heading(layers, title, classes), "", *(line.format(*row, *widths) for row in (heads, *rows))])


def layer_type(layer: Layer) -> str:
    """MATLAB's words for a layer's class (`"2-D Convolution"`), or the class itself where it has none."""
    return _TYPES[layer.kind][0] if layer.kind in _TYPES else layer.class_name


def description(layer: Layer) -> str:
    """What a layer does, in MATLAB's words: `"2x2 max pooling with stride [2 2] and padding [0 0 0 0]"`."""
    if layer.kind in _TYPES:
        with contextlib.suppress(TypeError, ValueError):  # a setting is of another type; the table shows the others
            # A layer made by hand may lack a setting, and then the blank around it is one too many.
            return " ".join(_TYPES[layer.kind][1](layer).split())
    return " ".join(texts(layer.settings.get("Description"))) or layer.kind


def learnables(layer: Layer) -> int:
    """The number of elements of all learnables."""
    return sum(array.size for array in layer.learnables.values())


def _heading(layers: Sequence[Layer], title: str, classes: Sequence[str]) -> list[str]:
    total = _count(sum(map(learnables, layers)), "learnable")
    heading = [f"{one_line(title)}: {_count(len(layers), 'layer')}, {total}"]
    heading += [f"Input: {description(layer)}" for layer in layers if layer.kind.endswith("InputLayer")]
    if classes:
        shown = ", ".join(map(one_line, classes[:_CLASSES_SHOWN])) + (", ..." if len(classes) > _CLASSES_SHOWN else "")
        heading.append(f"{_count(len(classes), 'class', 'classes')}: {shown}")
    return heading


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


# How the parts of a description are written.


def _numbers(layer: Layer, setting: str) -> list[str]:
    return ["NaN" if np.isnan(number) else f"{number:g}" for number in np.ravel(layer.settings.get(setting, ()))]


def _size(layer: Layer, setting: str) -> str:
    return "x".join(_numbers(layer, setting))


def _vector(layer: Layer, setting: str) -> str:
    numbers = _numbers(layer, setting)
    return numbers[0] if len(numbers) == 1 else f"[{' '.join(numbers)}]"


def _edges(layer: Layer, what: str) -> str:
    """The padding or the cropping: its mode, or how much; the first versions stored the amount alone."""
    mode = layer.settings.get(f"{what}Mode", "manual")
    if mode != "manual":
        return f"'{mode}'"
    return _vector(layer, f"{what}Size" if f"{what}Size" in layer.settings else what)


def _channels(layer: Layer, setting: str = "NumChannels") -> str:
    # MATLAB finds the number of channels in training: until then it is empty, and no part of the description.
    number = _size(layer, setting)
    return f"x{number}" if number else ""


def _normalize(layer: Layer) -> str:
    kind = Normalization.of(layer).type
    return "" if kind == "none" else f" with '{kind}' normalization"


def _sliding(layer: Layer, what: str, edges: str = "Padding") -> str:
    dilation = _vector(layer, "DilationFactor") if "DilationFactor" in layer.settings else "1"
    dilated = "" if set(dilation) <= set("[1 ]") else f", dilation factor {dilation},"
    return f"{what} with stride {_vector(layer, 'Stride')}{dilated} and {edges.lower()} {_edges(layer, edges)}"


def _input(what: str) -> Callable[[Layer], str]:
    return lambda layer: f"{_size(layer, 'InputSize')} {what}{_normalize(layer)}"


def _convolution(layer: Layer) -> str:
    # The first versions stored a convolution in two groups as one layer: NumFilters is 128 128.
    number = np.sum(layer.settings.get("NumFilters", ()))
    filters = f"{number:g} {_size(layer, 'FilterSize')}{_channels(layer)}"
    return _sliding(layer, f"{filters} convolutions")


def _grouped_convolution(layer: Layer) -> str:
    groups = f"{_size(layer, 'NumGroups')} groups of {_size(layer, 'NumFiltersPerGroup')}"
    filters = f"{_size(layer, 'FilterSize')}{_channels(layer, 'NumChannelsPerGroup')}"
    return _sliding(layer, f"{groups} {filters} convolutions")


def _transposed_convolution(layer: Layer) -> str:
    filters = f"{_size(layer, 'NumFilters')} {_size(layer, 'FilterSize')}{_channels(layer)}"
    return _sliding(layer, f"{filters} transposed convolutions", "Cropping")


def _fully_connected(layer: Layer) -> str:
    # An older form writes the size of the output as that of an image: 1 1 10.
    return " ".join([*_numbers(layer, "OutputSize")[-1:], "fully connected layer"])


def _pooling(kind: str) -> Callable[[Layer], str]:
    return lambda layer: _sliding(layer, f"{_size(layer, 'PoolSize')} {kind} pooling")


def _pooling_1d(kind: str) -> Callable[[Layer], str]:
    return lambda layer: (
        f"{kind} pooling with pool size {_size(layer, 'PoolSize')}, stride {_size(layer, 'Stride')}, "
        f"and padding {_edges(layer, 'Padding')}"
    )


def _recurrent(kind: str) -> Callable[[Layer], str]:
    return lambda layer: f"{kind} with {_size(layer, 'NumHiddenUnits')} hidden units"


def _project(layer: Layer) -> str:
    return (
        f"Projected LSTM with {_size(layer, 'NumHiddenUnits')} hidden units, "
        f"an output projector size of {_size(layer, 'OutputProjectorSize')}, "
        f"and an input projector size of {_size(layer, 'InputProjectorSize')}"
    )


def _normalization(kind: str) -> Callable[[Layer], str]:
    def text(layer: Layer) -> str:
        channels = _size(layer, "NumChannels")
        return f"{kind} normalization with {channels} channels" if channels else f"{kind} normalization"

    return text


def _joining(what: str) -> Callable[[Layer], str]:
    return lambda layer: f"{what} of {_size(layer, 'NumInputs')} inputs"


def _setting(before: str, setting: str, after: str = "") -> Callable[[Layer], str]:
    return lambda layer: f"{before} {_vector(layer, setting)} {after}".rstrip()


def _words(text: str) -> Callable[[Layer], str]:
    return lambda _: text


def _dropout(layer: Layer) -> str:
    return " ".join([*(f"{100 * float(part):g}%" for part in _numbers(layer, "Probability")), "dropout"])


def _classes(loss: str) -> Callable[[Layer], str]:
    def text(layer: Layer) -> str:
        names = [f"'{name}'" for name in class_names((layer,))]
        if len(names) < 2:
            return loss + (f" with class {names[0]}" if names else "")
        if len(names) == 2:
            return f"{loss} with classes {names[0]} and {names[1]}"
        return f"{loss} with {names[0]} and {len(names) - 1} other classes"

    return text


_TYPES: dict[str, tuple[str, Callable[[Layer], str]]] = {
    **SOURCE_TYPES,
    "AdditionLayer": ("Addition", _joining("Element-wise addition")),
    "AveragePooling1DLayer": ("1-D Average Pooling", _pooling_1d("Average")),
    "AveragePooling2DLayer": ("2-D Average Pooling", _pooling("average")),
    "BatchNormalizationLayer": ("Batch Normalization", _normalization("Batch")),
    "BiLSTMLayer": ("BiLSTM", _recurrent("BiLSTM")),
    "ClassificationOutputLayer": ("Classification Output", _classes("crossentropyex")),
    "ClippedReLULayer": ("Clipped ReLU", _setting("Clipped ReLU with ceiling", "Ceiling")),
    "ConcatenationLayer": ("Concatenation", _joining("Concatenation")),
    "Convolution1DLayer": ("1-D Convolution", _convolution),
    "Convolution2DLayer": ("2-D Convolution", _convolution),
    "CrossChannelNormalizationLayer": (
        "Cross Channel Normalization",
        _setting("cross channel normalization with", "WindowChannelSize", "channels per element"),
    ),
    "DepthConcatenationLayer": ("Depth Concatenation", _joining("Depth concatenation")),
    "DropoutLayer": ("Dropout", _dropout),
    "ELULayer": ("ELU", _setting("ELU with Alpha", "Alpha")),
    "FeatureInputLayer": ("Feature Input", _input("features")),
    "FlattenLayer": ("Flatten", _words("Flatten")),
    "FullyConnectedLayer": ("Fully Connected", _fully_connected),
    "GELULayer": ("GELU", _words("GELU")),
    "GlobalAveragePooling1DLayer": ("1-D Global Average Pooling", _words("1-D global average pooling")),
    "GlobalAveragePooling2DLayer": ("2-D Global Average Pooling", _words("2-D global average pooling")),
    "GlobalMaxPooling1DLayer": ("1-D Global Max Pooling", _words("1-D global max pooling")),
    "GlobalMaxPooling2DLayer": ("2-D Global Max Pooling", _words("2-D global max pooling")),
    "GroupedConvolution2DLayer": ("2-D Grouped Convolution", _grouped_convolution),
    "GRULayer": ("GRU", _recurrent("GRU")),
    "ImageInputLayer": ("Image Input", _input("images")),
    "InputLayer": ("Input", lambda layer: f"{_size(layer, 'InputSize')} ({layer.settings.get('InputFormat')}) input"),
    "LayerNormalizationLayer": ("Layer Normalization", _normalization("Layer")),
    "LeakyReLULayer": ("Leaky ReLU", _setting("Leaky ReLU with scale", "Scale")),
    "LSTMLayer": ("LSTM", _recurrent("LSTM")),
    "LSTMProjectedLayer": ("Projected LSTM", _project),
    "MaxPooling1DLayer": ("1-D Max Pooling", _pooling_1d("Max")),
    "MaxPooling2DLayer": ("2-D Max Pooling", _pooling("max")),
    "MaxUnpooling2DLayer": ("2-D Max Unpooling", _words("2-D max unpooling")),
    "MultiplicationLayer": ("Multiplication", _joining("Element-wise multiplication")),
    "PixelClassificationLayer": ("Pixel Classification Layer", _classes("cross-entropy loss")),
    "ReLULayer": ("ReLU", _words("ReLU")),
    "RegressionOutputLayer": ("Regression Output", _words("mean-squared-error")),
    "SequenceInputLayer": (
        "Sequence Input",
        lambda layer: f"Sequence input with {_size(layer, 'InputSize')} dimensions{_normalize(layer)}",
    ),
    "SigmoidLayer": ("Sigmoid", _words("sigmoid")),
    "SoftmaxLayer": ("Softmax", _words("softmax")),
    "SwishLayer": ("Swish", _words("Swish")),
    "TanhLayer": ("Tanh", _words("Hyperbolic tangent")),
    "TransposedConvolution2DLayer": ("2-D Transposed Convolution", _transposed_convolution),
}
