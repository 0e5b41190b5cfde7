"""Functions of one line against the same arithmetic in NumPy, in MATLAB's dimensions."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, expit

import matlab_bridge as mb
from matlab_bridge import UnsupportedLayerError
from matlab_bridge.matfile import FunctionHandle
from matlab_bridge.network import Connection, Network

from .layer_tools import assert_close, chain, feature_input, image_input, layer, normal, outputs, sequence_input
from .networks_by_hand import row


def function(text, count=1, **variables):
    handle = FunctionHandle(text, {name: np.asarray(value, dtype=float) for name, value in variables.items()})
    return layer("f", "FunctionLayer", {"PredictFcn": handle, "NumInputs": row(count), "Description": text})


# Text, and what it computes in MATLAB's dimensions: (C, N), (C, N, T), (H, W, C, N).
FORMULAS = [
    ("@(x) x*2", lambda x: x * 2),
    ("@(X) tanh(X)./2 + 1", lambda x: np.tanh(x) / 2 + 1),
    ("@(x)-x.^2+3", lambda x: -(x**2) + 3),
    ("@(x)max(x,0.1).*min(x,1)", lambda x: np.maximum(x, 0.1) * np.minimum(x, 1)),
    ("@(x)x.*(x>0)-(x<=-1)", lambda x: x * (x > 0) - (x <= -1)),
    ("@(x)exp(-abs(x))/pi", lambda x: np.exp(-np.abs(x)) / np.pi),
    ("@(x)sqrt(x.^2+1)-cos(x).*sin(x)", lambda x: np.sqrt(x**2 + 1) - np.cos(x) * np.sin(x)),
    ("@(x)sigmoid(x)+relu(x)", lambda x: expit(x) + np.maximum(x, 0)),
    ("@(x)x./sum(abs(x),1)", lambda x: x / np.abs(x).sum(axis=0, keepdims=True)),
    ("@(x)x-mean(x)+max(x,[],1)", lambda x: x - x.mean(0, keepdims=True) + x.max(0, keepdims=True)),
    ("@(x)[x;2*x]", lambda x: np.concatenate([x, 2 * x])),
    ("@(x)cat(1,x,-x)", lambda x: np.concatenate([x, -x])),
    ("@tanh", np.tanh),
    ("@(x)leakyrelu(x,0.2)+leakyrelu(x)", lambda x: np.where(x < 0, 0.21 * x, 2 * x)),
    ("@(x)gelu(x)+gelu(0.5)", lambda x: x / 2 * (1 + erf(x / np.sqrt(2))) + 0.25 * (1 + erf(np.sqrt(0.125)))),
    ("@(x)softplus(x)-softplus(1)", lambda x: np.log(1 + np.exp(x)) - np.log(1 + np.e)),
    ("@(x)round(4*x)/4+round(2.5)", lambda x: np.trunc(4 * x + np.copysign(0.5, x)) / 4 + 3),
    ("@(x)log10(abs(x)+1).*log2(x.^2+8)", lambda x: np.log(np.abs(x) + 1) / np.log(10) * np.log2(x**2 + 8)),
    ("@(x)mod(10*x,3)-mod(x,-1)+mod(x,0)", lambda x: 10 * x - 3 * np.floor(10 * x / 3) - (x - np.ceil(x)) + x),
    ("@(x)x.*(x>-1&x<1|x==2)", lambda x: x * ((x > -1) & (x < 1))),
    ("@(x)~(x>0)+(x&0)+(2|x)+~3", lambda x: 1.0 * (x <= 0) + 1),
    ("@(x)cumsum(x)+cumsum(2*x,1)-cumsum(x,7)", lambda x: 3 * x.cumsum(0) - x),
    ("@(x)sum(x,[1 6])+prod(x,[6 1 5])", lambda x: x.sum(0, keepdims=True) + x.prod(0, keepdims=True)),
    ("@(x)x+sum([1 -2;3 -4],[1 2])-cumsum([1 2])*[0;1]+sum(4,3)", lambda x: x - 2 - 3 + 4),
]

INPUTS = {
    "vectors": (feature_input(3), (4, 3), (1, 0)),
    "sequences": (sequence_input(3), (4, 5, 3), (2, 0, 1)),
    "images": (image_input((2, 3, 4)), (4, 2, 3, 4), (1, 2, 3, 0)),
}


@pytest.mark.parametrize("what", INPUTS)
@pytest.mark.parametrize(("text", "formula"), FORMULAS, ids=[each[0] for each in FORMULAS])
def test_the_text_is_what_is_computed(text, formula, what):
    first, shape, dims = INPUTS[what]
    data = normal(1, *shape)
    expected = formula(data.transpose(dims)).transpose(np.argsort(dims))
    assert_close(outputs(chain(first, function(text)), data), expected)


def test_several_dimensions_at_once():
    images, sequences = normal(1, 2, 3, 4, 5), normal(2, 2, 6, 3)
    network = chain(image_input((3, 4, 5)), function("@(x)x-mean(x,[1 2])+max(x,[],[1, 3])-cumsum(x,2)"))
    expected = images - images.mean((1, 2), keepdims=True) + images.max((1, 3), keepdims=True) - images.cumsum(2)
    assert_close(outputs(network, images), expected)
    over_time = chain(sequence_input(3), function("@(x)cumsum(x,3)-prod(x,[1 3])"))
    assert_close(outputs(over_time, sequences), sequences.cumsum(1) - sequences.prod((1, 2), keepdims=True))


def test_halves_are_rounded_away_from_zero_and_nothing_else_is():
    data = np.array([[0.5, -0.5, 1.5], [2.5, -2.5, 0.49999997], [-0.49999997, 8388609.0, -3.4]])
    expected = np.array([[1, -1, 2], [3, -3, 0], [0, 8388609, -3]], dtype=float)
    np.testing.assert_array_equal(outputs(chain(feature_input(3), function("@(x)round(x)")), data), expected)


def test_what_is_left_of_a_division():
    data = np.array([[5.0, -5.0, 3.0], [-0.5, 0.0, -3.0]])
    network = chain(feature_input(3), function("@(x)mod(x,m)", m=[[3.0], [-3.0], [0.0]]))
    np.testing.assert_array_equal(outputs(network, data), [[2, -2, 3], [2.5, 0, -3]])


def test_numbers_that_the_function_took_along():
    data, matrix, column = normal(1, 4, 3), normal(2, 2, 3), normal(3, 2, 1)
    network = chain(feature_input(3), function("@(x)A*x-b.*s", A=matrix, b=column, s=[[0.5]]))
    assert_close(outputs(network, data), (matrix @ data.T - column * 0.5).T)
    scaled = chain(feature_input(3), function("@(x)x.*w'+2*A(1)", w=normal(2, 1, 3), A=matrix))
    with pytest.raises(UnsupportedLayerError, match=r"it takes elements of 'A'"):
        scaled.to_keras()


def test_numbers_of_every_pixel():
    images, pixels = normal(1, 2, 3, 4, 2), normal(2, 3, 4)
    network = chain(image_input((3, 4, 2)), function("@(x)x.*w", w=pixels))
    assert_close(outputs(network, images), images * pixels[..., None])


@pytest.mark.parametrize("shape", [(3, 3, 2), (2, 3, 3), (3, 1, 1)])
def test_numbers_of_each_column_are_no_bias(shape):
    images, columns = normal(1, 1, *shape), normal(2, 1, shape[1])
    network = chain(image_input(shape), function("@(x)x+w-sum(sum(x,1),3)", w=columns))
    expected = images + columns[..., None] - images.sum(axis=(1, 3), keepdims=True)
    assert_close(outputs(network, images).reshape(expected.shape), expected)


def test_several_inputs():
    names = ("a", "b")
    inputs = tuple(layer(name, "FeatureInputLayer", {"InputSize": row(3)}) for name in names)
    ends = tuple(Connection(name, "f", "", f"in{number}") for number, name in enumerate(names, start=1))
    data = [normal(1, 4, 3), normal(2, 4, 3)]
    for text, expected in (("@(p,q)p-2*q", data[0] - 2 * data[1]), ("@minus", data[0] - data[1])):
        model = Network((*inputs, function(text, 2)), ends).to_keras()
        assert_close(np.asarray(model(data)), expected)
    with pytest.raises(UnsupportedLayerError, match=r"'@\(p\)p': it has 1 parameters, and 2 inputs"):
        Network((*inputs, function("@(p)p", 2)), ends).to_keras()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@(x)sum(x,2)", "the batch, it mixes observations"),
        ("@(x)sum(x,[1 2])", "the batch, it mixes observations"),
        ("@(x)cumsum(x,2)", "the batch, it mixes observations"),
        ("@(x)cumsum(x,[1 3])", "goes along one dimension"),
        ("@(x)sum(x,[1 1])", "are no dimensions"),
        ("@(x)sum(x,1.5)", "are no dimensions"),
        ("@(x)sum(x,Inf)", "are no dimensions"),
        ("@(x)sum(x,[])", "are no dimensions"),
        ("@(x)sum(x,x)", "input where numbers were expected"),
        ("@(x)mod(x,0.1)", "depends on how they are rounded"),
        ("@(x)mod(x,x)", "depends on how they are rounded"),
        ("@(x)round(x,2)", "'round' with 2 arguments"),
        ("@(x)[x,x]", "the batch, it mixes observations"),
        ("@(x)x'", "transposes its input"),
        ("@(x)1/x", "divides by a matrix"),
        ("@(x)x^2", "power of a matrix"),
        ("@(x)x*x", "product of matrices"),
        ("@(x)x+y", "'y' is none of its parameters"),
        ("@(x)myfunction(x)", "'myfunction' with 1 arguments is none of the functions"),
        ("@(x)softmax(x,'DataFormat','CB')", "no plain arithmetic"),
        ("@(x)3", "does not depend on its input"),
        ("@(x)[x;1]", "joins its input and numbers"),
        ("@(x)cat(4,x,x)", "no dimension 4"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_its_text(text, reason):
    with pytest.raises(UnsupportedLayerError) as caught:
        chain(feature_input(3), function(text)).to_keras()
    assert reason in str(caught.value)
    assert repr(text) in str(caught.value)


LEAVES = st.sampled_from([("x", lambda x: x), ("0.5", lambda x: 0.5), ("(-2)", lambda x: -2.0)])


def grown(inner):
    """Larger expressions, each with the arithmetic that it stands for."""
    marks = {"+": np.add, "-": np.subtract, ".*": np.multiply}
    calls = {"tanh": np.tanh, "cos": np.cos, "abs": np.abs, "relu": lambda x: np.maximum(x, 0)}

    def joined(mark, left, right):
        return f"({left[0]} {mark} {right[0]})", lambda x: marks[mark](left[1](x), right[1](x))

    def called(name, operand):
        return f"{name}({operand[0]})", lambda x: calls[name](operand[1](x))

    return st.builds(joined, st.sampled_from(list(marks)), inner, inner) | st.builds(
        called, st.sampled_from(list(calls)), inner
    )


@given(st.recursive(LEAVES, grown, max_leaves=6))
@settings(max_examples=30)
def test_any_arithmetic(expression):
    text, formula = expression
    data = normal(1, 4, 3)
    expected = np.broadcast_to(formula(data) + data, data.shape)
    assert_close(outputs(chain(feature_input(3), function(f"@(x){text}+x")), data), expected)


@pytest.mark.parametrize(
    "text",
    [
        "@(x)max(A*x,0)./(sum(x.^2,1)+.01)",
        "@(x)round(x)+mod(x,2)+mod(x,b)+leakyrelu(x)-gelu(x)+softplus(x)",
        "@(x)cumsum(x)+(~x|x>0&x<b)+prod(x,[1 3])",
    ],
)
def test_a_model_with_a_function_loads_in_keras_alone(text, tmp_path):
    network = chain(feature_input(3), function(text, A=normal(2, 2, 3), b=[[1], [2], [0]]))
    model, data = network.to_keras(), normal(1, 4, 3)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras", custom_objects={})
    np.testing.assert_array_equal(np.asarray(loaded(data)), np.asarray(model(data)))


@pytest.mark.corpus
def test_functions_of_real_files(corpus):
    folder = corpus / "pac48__latent-control-idea"
    network = mb.load_network(folder / "image-control-BC__dlnet.mat", "dlnet")
    model = network.to_keras()
    images = normal(1, 2, *model.input_shape[1:])
    flat, soft, place = (
        keras.Model(model.input, model.get_layer(name).output) for name in ("flatten", "layer_2", "layer_3")
    )
    features = np.asarray(flat(images)).astype(float).T
    shares = features**2 / ((features**2).sum(axis=0) + 0.01)
    assert_close(np.asarray(soft(images)), shares.T)
    across, down = (network["layer_3"].settings["PredictFcn"].variables[name] for name in ("XFlat", "YFlat"))
    assert_close(np.asarray(place(images)), np.concatenate([across @ shares, down @ shares]).T)
    scaled = mb.load_network(folder / "TFNet__TFNetPretrained.mat").to_keras()
    assert [tensor.shape for tensor in scaled.outputs] == [(None, 6)] * 6


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("@minus", ("in1", "in2"), lambda a, b: a - b),
        ("@(x,gate)x-2*gate", ("x", "gate"), lambda a, b: a - 2 * b),
        ("@(x,gate)x-2*gate", ("z", "y"), lambda a, b: a - 2 * b),
    ],
)
def test_inputs_come_in_the_order_of_their_names(text, names, expected):
    """As MATLAB's files have them: their names, and no number."""
    settings = {"PredictFcn": FunctionHandle(text, {}), "InputNames": np.array([names], dtype=object)}
    first, second = (replace(feature_input(3), name=name) for name in ("first", "second"))
    network = Network(
        (first, second, layer("f", "FunctionLayer", settings)),
        (Connection("second", "f", "", names[1]), Connection("first", "f", "", names[0])),
    )
    a, b = normal(1, 4, 3), normal(2, 4, 3)
    assert_close(outputs(network, a, b), expected(a, b))
