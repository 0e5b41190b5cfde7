"""Linear maps of layers: rows times matrices are what Keras computes, and what NumPy does from the definition."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keras_prunelab._reconstruct._rules import (
    LinearMap,
    NoLinearMapError,
    Rule,
    Seen,
    flat_weights,
    known_classes,
    maps_of,
    register_linear_rule,
)

pytestmark = pytest.mark.backends

L = keras.layers
Array = NDArray[Any]

# JAX and torch get few: what they compute is the same, and JAX compiles each shape.
SETTINGS = settings(max_examples=25 if keras.config.backend() == "tensorflow" else 5, deadline=None)


def random_weights(layer: Any, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=each.shape, scale=0.5) for each in layer.get_weights()])


def built(layer: Any, inputs: Array) -> Any:
    layer.build(inputs.shape)
    random_weights(layer)
    return layer


def numbers(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def products(layer: Any, seen: Seen) -> list[Array]:
    flat = flat_weights(layer).astype(np.float64)
    return [np.matmul(np.asarray(each.rows(seen), np.float64), each.read(flat)) for each in maps_of(layer)]


def called(layer: Any, inputs: Array) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(layer(inputs)))


def close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3)])
def test_dense(shape: tuple[int, ...], bias: bool) -> None:
    inputs = numbers(*shape)
    layer = built(L.Dense(4, use_bias=bias), inputs)
    (found,) = products(layer, Seen(layer, inputs))
    kernel, *rest = layer.get_weights()
    close(found[0], inputs.reshape(-1, 3) @ kernel + (rest[0] if bias else 0))
    close(found[0], called(layer, inputs).reshape(-1, 4))


@pytest.mark.parametrize(
    ("equation", "output", "axes", "shape", "problems", "has_bias"),
    [
        ("abc,cd->abd", (None, 4), "d", (2, 5, 3), 1, True),
        ("abc,cde->abde", (None, 2, 4), "de", (2, 5, 3), 1, True),
        ("abc,cde->abde", (None, 2, 4), "ed", (2, 5, 3), 1, True),
        ("abc,cde->abde", (None, 2, 4), "e", (2, 5, 3), 1, False),
        ("abcd,cde->abe", (None, 4), "e", (2, 5, 3, 2), 1, True),
        ("abc,bcd->abd", (5, 4), "bd", (2, 5, 3), 5, True),
        ("abc,bcd->abd", (5, 4), "d", (2, 5, 3), 5, False),
        ("abc,cbd->adb", (4, 5), "bd", (2, 5, 3), 5, True),
        ("abc,cd->abd", (5, 4), "bd", (2, 5, 3), 1, False),
        ("...x,xy->...y", (4,), "y", (2, 5, 3), 1, True),
        ("abc,cd->ad", (4,), None, (2, 5, 3), 1, False),
    ],
)
def test_einsum_dense(
    equation: str, output: Any, axes: str | None, shape: tuple[int, ...], problems: int, has_bias: bool
) -> None:
    inputs = numbers(*shape)
    layer = built(L.EinsumDense(equation, output_shape=output, bias_axes=axes), inputs)
    (found,) = maps_of(layer)
    assert (found.places.shape[0], found.has_bias) == (problems, has_bias)
    (product,) = products(layer, Seen(layer, inputs))
    whole = called(layer, inputs)
    if axes and not has_bias:
        whole = whole - np.asarray(layer.get_weights()[1])
    # Every output stands once among the products; of random numbers, a wrong pair would give another value.
    close(np.sort(product.ravel()), np.sort(whole.ravel()))
    expected = np.einsum(equation, inputs, layer.get_weights()[0])
    if has_bias:
        expected = expected + layer.get_weights()[1]
    close(np.sort(product.ravel()), np.sort(expected.ravel()))


def test_einsum_dense_by_hand() -> None:
    inputs = numbers(2, 5, 3)
    layer = built(L.EinsumDense("abc,cbd->adb", output_shape=(4, 5), bias_axes="bd"), inputs)
    kernel, bias = layer.get_weights()
    (found,) = products(layer, Seen(layer, inputs))
    for b in range(5):
        close(found[b], inputs[:, b] @ kernel[:, b] + bias.reshape(4, 5)[:, b])


@pytest.mark.parametrize("equation", ["ab,bcd->ac", "aab,bc->abc"])
def test_einsum_dense_that_is_no_linear_map(equation: str) -> None:
    layer = L.EinsumDense(equation, output_shape=(3,))
    with pytest.raises(NoLinearMapError, match=equation):
        maps_of(layer)


def convolved(inputs: Array, kernel: Array, *, stride: Any, dilation: Any, padding: str, groups: int) -> Array:
    """A convolution from its definition, channels last: one output position after the other."""
    rank = inputs.ndim - 2
    stride, dilation = np.broadcast_to(stride, rank), np.broadcast_to(dilation, rank)
    reach = (np.array(kernel.shape[:rank]) - 1) * dilation + 1
    length = np.array(inputs.shape[1:-1])
    if padding == "same":
        size = -(-length // stride)
        missing = np.maximum(0, (size - 1) * stride + reach - length)
        before = missing // 2
    else:
        before = reach - 1 if padding == "causal" else np.zeros(rank, int)
        size = (length + before - reach) // stride + 1
    filters = kernel.shape[-1]
    made = np.zeros((len(inputs), *size, filters))
    for position in np.ndindex(*size):
        for tap in np.ndindex(*kernel.shape[:rank]):
            place = np.array(position) * stride + np.array(tap) * dilation - before
            if (place < 0).any() or (place >= length).any():
                continue
            for group in range(groups):
                own = slice(group * filters // groups, (group + 1) * filters // groups)
                part = inputs[(slice(None), *place)].reshape(len(inputs), groups, -1)[:, group]
                made[(slice(None), *position, own)] += part @ kernel[tap][:, own]
    return made


@SETTINGS
@given(data=st.data())
def test_convolutions(data: st.DataObject) -> None:
    rank = data.draw(st.sampled_from([1, 2, 3]), "rank")
    small = st.integers(1, 3)
    size = tuple(data.draw(st.tuples(*[small] * rank), "size"))
    groups = data.draw(st.sampled_from([1, 2]), "groups") if rank < 3 else 1
    strided = data.draw(st.booleans(), "strided")
    step = data.draw(st.tuples(*[small] * rank), "step")
    step = (step[0],) * rank  # TensorFlow takes no unequal ones everywhere
    stride, dilation = (step, (1,) * rank) if strided else ((1,) * rank, step)
    padding = data.draw(st.sampled_from(["valid", "same", *(["causal"] if rank == 1 else [])]), "padding")
    bias = data.draw(st.booleans(), "bias")
    inputs = numbers(2, *data.draw(st.tuples(*[st.integers(7, 9)] * rank), "length"), 2 * groups)
    kind = {1: L.Conv1D, 2: L.Conv2D, 3: L.Conv3D}[rank]
    options: dict[str, Any] = {"padding": padding, "use_bias": bias, "groups": groups}
    layer = built(kind(2 * groups, size, strides=stride, dilation_rate=dilation, **options), inputs)
    (found,) = products(layer, Seen(layer, inputs))
    kernel, *rest = layer.get_weights()
    expected = convolved(inputs, kernel, stride=stride, dilation=dilation, padding=padding, groups=groups)
    expected = expected + (rest[0] if bias else 0)
    flat = found.transpose(1, 0, 2).reshape(expected.shape)
    close(flat, expected)
    close(flat, called(layer, inputs))


@pytest.mark.parametrize("kind", [L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D, L.Conv2DTranspose])
def test_channels_first_are_the_same_patches(kind: Any) -> None:
    inputs = numbers(2, 6, 5, 4)
    args = (3,) if kind is L.DepthwiseConv2D else (3, 3)
    last, first = built(kind(*args), inputs), kind(*args, data_format="channels_first")
    first.build((2, 4, 6, 5))
    first.set_weights(last.get_weights())
    seen = Seen(last, inputs), Seen(first, np.moveaxis(inputs, -1, 1))
    for one, other in zip(products(last, seen[0]), products(first, seen[1]), strict=True):
        np.testing.assert_allclose(one, other)


@SETTINGS
@given(
    rank=st.sampled_from([1, 2]),
    size=st.integers(1, 3),
    step=st.integers(1, 3),
    strided=st.booleans(),
    padding=st.sampled_from(["valid", "same"]),
    multiplier=st.integers(1, 3),
    bias=st.booleans(),
)
def test_depthwise_and_separable_convolutions(
    rank: int, size: int, step: int, strided: bool, padding: str, multiplier: int, bias: bool
) -> None:
    inputs = numbers(2, *(8, 7)[:rank], 3)
    options: dict[str, Any] = {"strides" if strided else "dilation_rate": step, "padding": padding, "use_bias": bias}
    depthwise = (L.DepthwiseConv1D, L.DepthwiseConv2D)[rank - 1](size, depth_multiplier=multiplier, **options)
    built(depthwise, inputs)
    (found,) = products(depthwise, Seen(depthwise, inputs))
    kernel = depthwise.get_weights()[0]
    choice: dict[str, Any] = {"stride": step if strided else 1, "dilation": 1 if strided else step, "padding": padding}
    expected = np.stack(
        [convolved(inputs[..., [c]], kernel[..., [c], :], groups=1, **choice) for c in range(3)], axis=-2
    )
    close(found - (depthwise.get_weights()[1].reshape(3, 1, -1) if bias else 0), _by_channel(expected))
    whole = called(depthwise, inputs)
    close(found, _by_channel(whole.reshape(*whole.shape[:-1], 3, multiplier)))

    separable = (L.SeparableConv1D, L.SeparableConv2D)[rank - 1](4, size, depth_multiplier=multiplier, **options)
    built(separable, inputs)
    inner, outer = products(separable, Seen(separable, inputs))
    whole = called(separable, inputs)
    close(outer[0], whole.reshape(-1, 4))
    depth, point, *rest = separable.get_weights()
    expected = np.stack(
        [convolved(inputs[..., [c]], depth[..., [c], :], groups=1, **choice) for c in range(3)], axis=-2
    )
    close(inner, _by_channel(expected))
    flat = expected.reshape(-1, 3 * multiplier) @ point.reshape(-1, 4) + (rest[0] if bias else 0)
    close(outer[0], flat)


def _by_channel(outputs: Array) -> Array:
    return outputs.reshape(-1, *outputs.shape[-2:]).transpose(1, 0, 2)


@SETTINGS
@given(data=st.data())
def test_transposed_convolutions(data: st.DataObject) -> None:
    rank = data.draw(st.sampled_from([1, 2, 3]), "rank")
    size = tuple(data.draw(st.tuples(*[st.integers(1, 4)] * rank), "size"))
    stride = (data.draw(st.integers(1, 3), "stride"),) * rank
    padding = data.draw(st.sampled_from(["valid", "same"]), "padding")
    bias = data.draw(st.booleans(), "bias")
    inputs = numbers(2, *data.draw(st.tuples(*[st.integers(3, 5)] * rank), "length"), 2)
    kind = {1: L.Conv1DTranspose, 2: L.Conv2DTranspose, 3: L.Conv3DTranspose}[rank]
    layer = built(kind(3, size, strides=stride, padding=padding, use_bias=bias), inputs)
    (found,) = products(layer, Seen(layer, inputs))
    whole = called(layer, inputs)
    close(found[0].reshape(whole.shape), whole)
    # From the definition: each input adds its kernel to the outputs from its place times the stride on; "same" cuts.
    kernel, *rest = layer.get_weights()
    length = np.array(inputs.shape[1:-1])
    made = np.zeros((2, *((length - 1) * stride + np.maximum(size, stride)), 3))
    for place in np.ndindex(*length):
        for tap in np.ndindex(*size):
            at = tuple(np.array(place) * stride + tap)
            made[(slice(None), *at)] += inputs[(slice(None), *place)] @ kernel[tap].T
    if padding == "same":
        cut = np.maximum(0, np.array(size) - stride) // 2
        made = made[(slice(None), *(slice(c, c + n * s) for c, n, s in zip(cut, length, stride, strict=True)))]
    close(found[0].reshape(made.shape), made + (rest[0] if bias else 0))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(x: Array, kernel: Array, recurrent: Array, bias: Array) -> tuple[Array, Array]:
    """What goes into the gates, and the last state."""
    h = c = np.zeros((len(x), len(recurrent)))
    found = []
    for step in range(x.shape[1]):
        gates = x[:, step] @ kernel + h @ recurrent + bias
        found.append(gates)
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return np.stack(found, axis=1), h


def gru_by_hand(x: Array, kernel: Array, recurrent: Array, bias: Array, *, after: bool) -> tuple[list[Array], Array]:
    """What goes into z and r, and into the candidate: its parts from the input and the state, or both in one."""
    u = len(recurrent)
    into, of_state = (bias[0], bias[1]) if after else (bias, np.zeros(3 * u))
    h = np.zeros((len(x), u))
    parts: list[list[Array]] = [[], [], []]
    for step in range(x.shape[1]):
        gates = x[:, step] @ kernel[:, : 2 * u] + h @ recurrent[:, : 2 * u] + into[: 2 * u]
        z, r = np.split(sigmoid(gates + of_state[: 2 * u]), 2, axis=1)
        first = x[:, step] @ kernel[:, 2 * u :] + into[2 * u :]
        second = (h if after else r * h) @ recurrent[:, 2 * u :] + of_state[2 * u :]
        for part, one in zip(parts, (gates, first, second), strict=True):
            part.append(one)
        h = z * h + (1 - z) * np.tanh(first + (r * second if after else second))
    gates, first, second = (np.stack(part, axis=1) for part in parts)
    return ([gates, first, second] if after else [gates, first + second]), h


@SETTINGS
@given(
    steps=st.integers(1, 5), features=st.integers(1, 4), units=st.integers(1, 4), bias=st.booleans(), back=st.booleans()
)
def test_lstm(steps: int, features: int, units: int, bias: bool, back: bool) -> None:
    inputs = numbers(3, steps, features)
    layer = built(L.LSTM(units, use_bias=bias, go_backwards=back), inputs)
    kernel, recurrent, *rest = layer.get_weights()
    order = inputs[:, ::-1] if back else inputs
    expected, last = lstm_by_hand(order, kernel, recurrent, rest[0] if bias else np.zeros(4 * units))
    (found,) = products(layer, Seen(layer, inputs))
    close(found[0].reshape(expected.shape), expected)
    close(called(layer, inputs), last)


@SETTINGS
@given(
    steps=st.integers(1, 5),
    units=st.integers(1, 4),
    bias=st.booleans(),
    back=st.booleans(),
    after=st.booleans(),
)
def test_gru(steps: int, units: int, bias: bool, back: bool, after: bool) -> None:
    inputs = numbers(3, steps, 2)
    layer = built(L.GRU(units, use_bias=bias, go_backwards=back, reset_after=after), inputs)
    kernel, recurrent, *rest = layer.get_weights()
    none = np.zeros((2, 3 * units) if after else 3 * units)
    order = inputs[:, ::-1] if back else inputs
    expected, last = gru_by_hand(order, kernel, recurrent, rest[0] if bias else none, after=after)
    for found, own in zip(products(layer, Seen(layer, inputs)), expected, strict=True):
        close(found[0].reshape(own.shape), own)
    close(called(layer, inputs), last)


@pytest.mark.parametrize("bias", [True, False])
def test_simple_rnn(bias: bool) -> None:
    inputs = numbers(3, 5, 2)
    layer = built(L.SimpleRNN(4, use_bias=bias), inputs)
    kernel, recurrent, *rest = layer.get_weights()
    h, expected = np.zeros((3, 4)), []
    for step in range(5):
        expected.append(inputs[:, step] @ kernel + h @ recurrent + (rest[0] if bias else 0))
        h = np.tanh(expected[-1])
    (found,) = products(layer, Seen(layer, inputs))
    close(found[0], np.stack(expected, axis=1).reshape(-1, 4))


def test_steps_that_a_mask_leaves_out_are_no_samples() -> None:
    inputs = numbers(2, 4, 3)
    layer = built(L.LSTM(2), inputs)
    mask = np.array([[True, True, False, False], [True, True, True, True]])
    (found,) = products(layer, Seen(layer, inputs, mask))
    kernel, recurrent, bias = layer.get_weights()
    expected, _ = lstm_by_hand(inputs, kernel, recurrent, bias)
    close(found[0], expected[mask])


def test_an_initial_state_is_where_a_recurrent_layer_begins() -> None:
    inputs, state = numbers(2, 3, 3), numbers(2, 4, seed=5)
    layer = built(L.SimpleRNN(4), inputs)
    kernel, recurrent, bias = layer.get_weights()
    (found,) = products(layer, Seen(layer, inputs, state=(state,)))
    close(found[0].reshape(2, 3, 4)[:, 0], inputs[:, 0] @ kernel + state @ recurrent + bias)


@pytest.mark.parametrize("after", [True, False])
def test_states_come_from_the_unpruned_network(after: bool) -> None:
    inputs, pruned = numbers(2, 3, 3), numbers(2, 3, 3, seed=9)
    layer = built(L.GRU(4, reset_after=after), inputs)
    other = L.GRU(4, reset_after=after)
    other.build(inputs.shape)
    random_weights(other, 7)
    for each in maps_of(layer):
        whole = each.rows(Seen(layer, inputs))
        mixed = each.rows(Seen(other, pruned, reference=Seen(layer, inputs)))
        own = 0 if each.name == "candidate, state" else 3
        np.testing.assert_array_equal(mixed[..., own:], whole[..., own:])
        np.testing.assert_array_equal(mixed[..., :own], pruned.reshape(1, -1, 3)[..., :own])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (L.Dense(4), (5, 3)),
        (L.EinsumDense("abc,cbd->adb", output_shape=(4, 5), bias_axes="bd"), (2, 5, 3)),
        (L.Conv2D(4, 3, groups=2), (2, 6, 6, 4)),
        (L.Conv2DTranspose(4, 3), (2, 6, 6, 4)),
        (L.DepthwiseConv2D(3), (2, 6, 6, 4)),
        (L.SeparableConv2D(5, 3), (2, 6, 6, 4)),
        (L.LSTM(3), (2, 4, 5)),
        (L.SimpleRNN(3), (2, 4, 5)),
        (L.GRU(3, reset_after=False), (2, 4, 5)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else "",
)
def test_each_weight_stands_in_one_matrix_once(layer: Any, shape: tuple[int, ...]) -> None:
    layer.build(shape)
    found = np.concatenate([each.places.ravel() for each in maps_of(layer)])
    np.testing.assert_array_equal(np.sort(found), np.arange(len(flat_weights(layer))))


def test_of_a_gru_that_resets_after_only_the_state_bias_of_its_gates_stays() -> None:
    layer = built(L.GRU(3), numbers(2, 4, 5))
    found = np.concatenate([each.places.ravel() for each in maps_of(layer)])
    left = np.setdiff1d(np.arange(len(flat_weights(layer))), found)
    np.testing.assert_array_equal(left, 5 * 9 + 3 * 9 + 9 + np.arange(6))


def test_a_kept_weight_is_never_written_as_zero() -> None:
    layer = built(L.Dense(2, use_bias=False), numbers(1, 2))
    (each,) = maps_of(layer)
    flat = flat_weights(layer).astype(np.float16)
    old = flat.copy()
    each.write(flat, np.array([[[1e-30, 0.0], [0.5, -2.0]]]))
    np.testing.assert_array_equal(flat, np.array([old[0], 0, 0.5, -2], np.float16))


def test_what_has_no_rule_says_so() -> None:
    with pytest.raises(NoLinearMapError, match="Embedding"):
        maps_of(L.Embedding(3, 2))

    class Own(L.Dense):
        pass

    with pytest.raises(NoLinearMapError, match="Own"):
        maps_of(Own(3))


def test_users_register_rules() -> None:
    class Double(L.Dense):
        def call(self, inputs: Any) -> Any:
            return super().call(2 * inputs)

    @register_linear_rule(Double)
    class DoubleRule(Rule):
        def maps(self, layer: Any) -> list[LinearMap]:
            places = np.arange(layer.kernel.shape[0] * layer.units).reshape(1, -1, layer.units)
            return [LinearMap("kernel", places, lambda seen: 2 * seen.inputs[None], has_bias=False)]

    assert Double in known_classes()
    inputs = numbers(4, 3)
    layer = built(Double(2, use_bias=False), inputs)
    (found,) = products(layer, Seen(layer, inputs))
    close(found[0], called(layer, inputs))
