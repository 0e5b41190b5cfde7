"""The architectures that labs start from, small, with MATLAB's forms of storing them, against `numpy_layers`."""

from __future__ import annotations

import numpy as np
import pytest

from matlab_bridge import Connection, Layer, Network
from matlab_bridge.network import series

from .layer_tools import assert_round_trip, image_input, layer, outputs
from .networks_by_hand import row, single
from .numpy_layers import forward


class Build:
    """Layers with random weights, as MATLAB stores them."""

    def __init__(self) -> None:
        self._seed = 0

    def numbers(self, *shape: int) -> np.ndarray:
        self._seed += 1
        return single(self._seed, *shape) / 2

    def conv(self, name: str, size: int, channels: int, filters: int | tuple[int, int], **more: object) -> Layer:
        counts = filters if isinstance(filters, tuple) else (filters,)
        settings = {
            "FilterSize": row(size, size),
            "NumChannels": row(channels),
            "NumFilters": row(*counts),
            "Stride": row(1, 1),
            "DilationFactor": row(1, 1),
            "PaddingMode": "same",
            "PaddingSize": row(0, 0, 0, 0),
        }
        learnables = {
            "Weights": self.numbers(size, size, channels // len(counts), sum(counts)),
            "Bias": self.numbers(1, 1, sum(counts)),
        }
        return layer(name, "Convolution2DLayer", settings | more, learnables)

    def grouped(self, name: str, channels: int, filters: int, groups: int) -> Layer:
        settings = {
            "FilterSize": row(3, 3),
            "NumGroups": row(groups),
            "NumChannelsPerGroup": row(channels // groups),
            "NumFiltersPerGroup": row(filters // groups),
            "Stride": row(2, 1),
            "DilationFactor": row(1, 1),
            "PaddingMode": "manual",
            "PaddingSize": row(1, 0, 2, 1),
            "PaddingValue": row(0),
        }
        weights = self.numbers(3, 3, channels // groups, filters // groups, groups)
        bias = self.numbers(1, 1, filters // groups, groups)
        return layer(name, "GroupedConvolution2DLayer", settings, {"Weights": weights, "Bias": bias})

    def transposed(self, name: str, channels: int, filters: int) -> Layer:
        settings = {
            "FilterSize": row(4, 4),
            "NumChannels": row(channels),
            "NumFilters": row(filters),
            "Stride": row(2, 2),
            "CroppingMode": "manual",
            "CroppingSize": row(1, 1, 1, 1),
            "OutputSizeOffset": row(0, 0),
        }
        learnables = {"Weights": self.numbers(4, 4, filters, channels), "Bias": self.numbers(1, 1, filters)}
        return layer(name, "TransposedConvolution2DLayer", settings, learnables)

    def norm(self, name: str, channels: int) -> Layer:
        learnables = {"Offset": self.numbers(1, 1, channels), "Scale": self.numbers(1, 1, channels)}
        state = {
            "TrainedMean": self.numbers(1, 1, channels),
            "TrainedVariance": np.abs(self.numbers(1, 1, channels)) + 0.1,
        }
        return layer(name, "BatchNormalizationLayer", {"Epsilon": row(1e-5)}, learnables, state)

    def dense(self, name: str, inputs: tuple[int, ...], size: int) -> Layer:
        """After an image of a SeriesNetwork: four dimensions; of a dlnetwork, or after a vector: two."""
        shape = (*inputs, size) if len(inputs) == 3 else (size, *inputs)
        weights = {"Weights": self.numbers(*shape) / 4, "Bias": self.numbers(1, 1, size)}
        return layer(name, "FullyConnectedLayer", {"InputSize": row(*inputs), "OutputSize": row(1, 1, size)}, weights)

    def mean_image(self, *shape: int) -> Layer:
        normalization = {"Type": "zerocenter", "AverageImage": np.squeeze(self.numbers(*shape))}
        return image_input(shape, Normalization=normalization)


def pool(name: str, kind: str = "Max", size: int = 3, stride: int = 2, mode: str = "manual") -> Layer:
    settings = {"PoolSize": row(size, size), "Stride": row(stride, stride), "PaddingMode": mode}
    return layer(name, f"{kind}Pooling2DLayer", settings | {"PaddingSize": row(0, 0, 0, 0)})


def lrn(name: str) -> Layer:
    values = {"WindowChannelSize": row(5), "Alpha": row(1e-2), "Beta": row(0.75), "K": row(2)}
    return layer(name, "CrossChannelNormalizationLayer", values)


def relu(name: str) -> Layer:
    return layer(name, "ReLULayer")


ENDS = (layer("prob", "SoftmaxLayer"), layer("output", "ClassificationOutputLayer"))


def alexnet() -> Network:
    build = Build()
    layers = (
        build.mean_image(27, 27, 3),
        build.conv("conv1", 5, 3, 8, Stride=row(2, 2), PaddingMode="manual"),
        relu("relu1"),
        lrn("norm1"),
        pool("pool1"),
        build.conv("conv2", 3, 8, (6, 6), PaddingMode="manual", PaddingSize=row(2, 2, 2, 2)),
        relu("relu2"),
        lrn("norm2"),
        build.grouped("conv3", 12, 8, 4),
        relu("relu3"),
        pool("pool3", size=2, stride=1),
        build.dense("fc6", (2, 7, 8), 16),
        relu("relu6"),
        layer("drop6", "DropoutLayer", {"Probability": row(0.5)}),
        build.dense("fc7", (1, 1, 16), 12),
        relu("relu7"),
        build.dense("fc8", (12,), 5),
        *ENDS,
    )
    return Network(layers, series(each.name for each in layers))


def googlenet() -> Network:
    build = Build()
    layers = (
        layer("cat", "DepthConcatenationLayer", {"NumInputs": row(3)}),  # not in the order of execution
        build.mean_image(9, 8, 2),
        build.conv("stem", 3, 2, 4),
        pool("pool", size=3, stride=2, mode="same"),
        build.conv("1x1", 1, 4, 3),
        build.conv("3x3", 3, 4, 5, DilationFactor=row(2, 1)),
        pool("branch_pool", size=3, stride=1, mode="same"),
        layer("gap", "GlobalAveragePooling2DLayer"),
        build.dense("fc", (1, 1, 12), 4),
        *ENDS,
    )
    paths = [("input", "stem"), ("stem", "pool"), ("pool", "3x3"), ("pool", "1x1"), ("pool", "branch_pool")]
    paths += [("3x3", "cat/in2"), ("branch_pool", "cat/in3"), ("1x1", "cat/in1"), ("cat", "gap"), ("gap", "fc")]
    paths += [("fc", "prob"), ("prob", "output")]
    return Network(layers, tuple(Connection.parse(*path) for path in paths))


def resnet() -> Network:
    build = Build()
    layers = (
        build.mean_image(8, 8, 1),
        build.conv("conv", 3, 1, 4),
        build.norm("bn", 4),
        relu("relu"),
        build.conv("res/branch2a", 3, 4, 6, Stride=row(2, 2)),
        build.norm("bn/branch2a", 6),
        build.conv("res/branch1", 1, 4, 6, Stride=row(2, 2)),
        layer("add", "AdditionLayer", {"NumInputs": row(2)}),
        layer("leaky", "LeakyReLULayer", {"Scale": row(0.1)}),
        pool("pool", "Average", size=2, stride=2),
        build.dense("fc", (24,), 3),  # two dimensions after an image: H runs fastest
        layer("softmax", "SoftmaxLayer"),
    )
    ends = [("input", "conv"), ("conv", "bn"), ("bn", "relu"), ("relu", "res/branch2a"), ("relu", "res/branch1")]
    ends += [("res/branch2a", "bn/branch2a"), ("bn/branch2a", "add"), ("res/branch1", "add")]
    ends += [("add", "leaky"), ("leaky", "pool"), ("pool", "fc"), ("fc", "softmax")]
    ports = {("bn/branch2a", "add"): "in1", ("res/branch1", "add"): "in2"}
    return Network(layers, tuple(Connection(*end, destination_port=ports.get(end, "")) for end in ends))


def squeezenet() -> Network:
    build = Build()
    layers = (
        image_input((7, 9, 3)),
        build.conv("squeeze", 1, 3, 2),
        relu("relu"),
        build.conv("conv10", 1, 2, 6),
        layer("gap", "GlobalAveragePooling2DLayer"),
        *ENDS,
    )
    return Network(layers, series(each.name for each in layers))


def unet() -> Network:
    build = Build()
    layers = (
        image_input((8, 6, 1)),
        build.conv("down", 3, 1, 4),
        pool("pool", size=2, stride=2),
        build.conv("bridge", 3, 4, 6),
        build.transposed("up", 6, 4),
        layer("skip", "DepthConcatenationLayer", {"NumInputs": row(2)}),
        build.conv("final", 1, 8, 1),  # one filter: MATLAB drops the last dimension
        layer("output", "RegressionOutputLayer"),
    )
    paths = [("input", "down"), ("down", "pool"), ("pool", "bridge"), ("bridge", "up"), ("up", "skip/in1")]
    paths += [("down", "skip/in2"), ("skip", "final"), ("final", "output")]
    return Network(layers, tuple(Connection.parse(*path) for path in paths))


@pytest.mark.parametrize("architecture", [alexnet, googlenet, resnet, squeezenet, unet])
def test_a_whole_network_computes_what_its_layers_are_documented_to(architecture) -> None:
    network = architecture()
    size = next(each for each in network.layers if each.kind == "ImageInputLayer").settings["InputSize"]
    images = np.random.default_rng(0).normal(size=(3, *np.ravel(size).astype(int)))
    expected = np.stack([forward(network, image) for image in images])
    expected = expected.reshape(3, -1) if expected.shape[1:3] == (1, 1) else expected
    actual = outputs(network, images)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert_round_trip(network)
