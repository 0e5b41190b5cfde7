from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._export._c import _export
from keras_prunelab._export._c._names import identifier

from .c_headers import RUN, STEP, compiled, needs_gcc, of_keras, randomized, run, sizes

L = keras.layers


def image() -> keras.Model:
    layers = [
        keras.Input((12, 10, 3)),
        L.Rescaling(1 / 3, offset=0.1),
        L.ZeroPadding2D(((1, 2), (0, 1))),
        L.Conv2D(8, 3, strides=2, use_bias=False),
        L.BatchNormalization(),
        L.ReLU(6.0),
        L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="gelu"),
        L.BatchNormalization(scale=False),
        L.LeakyReLU(0.1),
        L.SeparableConv2D(6, (3, 2), padding="same", activation="relu6"),
        L.MaxPooling2D(2, padding="same"),
        L.BatchNormalization(),
        L.AveragePooling2D(2, padding="same", strides=1),
        L.Conv2D(4, 2, padding="same", groups=2, dilation_rate=2, activation="silu"),
        L.Flatten(),
        L.Dropout(0.3),
        L.Dense(5),
        L.Softmax(),
    ]
    return keras.Sequential(layers)


def graph() -> keras.Model:
    inputs = keras.Input((9, 6))
    first = L.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="tanh")(inputs)
    second = L.DepthwiseConv1D(3, padding="same", activation="elu")(first)
    both = L.Add()([first, second]) * L.Dense(8, activation="sigmoid")(L.GlobalAveragePooling1D(keepdims=True)(first))
    joined = L.Concatenate()([both - first, inputs, L.Reshape((9, 6))(L.Flatten()(inputs))])
    pooled = L.Concatenate(axis=1)([L.MaxPooling1D(2)(joined), L.AveragePooling1D(3, strides=2)(joined)])
    out = L.Dense(3, activation="hard_sigmoid")(L.GlobalMaxPooling1D()(pooled))
    return keras.Model(inputs, [out, L.Activation("softplus")(pooled), out])


def two_inputs() -> keras.Model:
    image, numbers = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="int")
    features = L.Flatten()(L.Conv2D(3, 3, activation="relu")(image))
    return keras.Model([image, numbers], L.Dense(4)(L.Concatenate()([features, numbers])))


def nested() -> keras.Model:
    inside = keras.Sequential([keras.Input((8,)), L.Dense(8, activation="relu"), L.Dense(8)], name="inside")
    inputs = keras.Input((8,))
    shared = L.Dense(8, activation="mish")
    return keras.Model(inputs, L.Add()([inside(inputs), shared(shared(inputs)), inputs]))


def both_ways() -> keras.Model:
    layers = [
        keras.Input((7, 4)),
        L.Bidirectional(L.LSTM(6, return_sequences=True)),
        L.Bidirectional(L.GRU(5, return_sequences=True), merge_mode="sum"),
        L.SimpleRNN(4, go_backwards=True, return_sequences=True),
        L.Bidirectional(L.LSTM(5, return_sequences=True), merge_mode="ave"),
        L.Bidirectional(L.SimpleRNN(5), merge_mode="mul"),
        L.Dense(3),
    ]
    return keras.Sequential(layers)


def only_a_view() -> keras.Model:
    inputs = keras.Input((4, 3))
    return keras.Model(inputs, [L.Flatten()(inputs), L.Reshape((3, 4))(inputs)])


def by_value() -> keras.Model:
    """Images with a mean and a spread for each pixel."""
    mean, variance = np.arange(48.0).reshape(4, 4, 3) / 48, np.arange(48.0).reshape(4, 4, 3) / 10 + 0.1
    inputs = keras.Input((4, 4, 3))
    x = L.Normalization(axis=(1, 2, 3), mean=mean, variance=variance)(inputs)
    return keras.Model(inputs, [L.Conv2D(3, 2)(x), L.Flatten()(x)])


def the_same_twice() -> keras.Model:
    inputs = keras.Input((5, 4))
    x = L.Dense(3, activation="tanh")(inputs)
    both = L.Concatenate()([x, x, inputs, x])
    return keras.Model(inputs, L.Dense(2)(L.Concatenate(axis=1)([both, both, L.Add()([both, both])])))


def transposed() -> keras.Model:
    """An encoder and a decoder, with an edge from the one to the other."""
    inputs = keras.Input((8, 6, 2))
    first = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    low = L.PReLU(shared_axes=[1, 2])(L.Conv2D(6, 3, padding="same")(L.MaxPooling2D()(first)))
    high = L.ReLU()(L.BatchNormalization()(L.Conv2DTranspose(4, 3, strides=2, padding="same", use_bias=False)(low)))
    other = L.PReLU()(L.Conv2DTranspose(3, 2, strides=3, padding="valid", activation="tanh")(low))
    cut = L.Conv2D(2, 3, padding="same")(L.Cropping2D(((1, 3), (0, 3)))(other))
    joined = L.Concatenate()([first, high, L.UpSampling2D()(low), cut])
    dilated = L.Conv2DTranspose(2, (2, 3), dilation_rate=2, padding="same")(L.ZeroPadding2D(1)(joined))
    return keras.Model(inputs, [L.Conv2D(3, 1, activation="softmax")(joined), dilated])


def decoder() -> keras.Model:
    layers = [
        keras.Input((6,)),
        L.RepeatVector(5),
        L.GRU(4, return_sequences=True),
        L.UpSampling1D(2),
        L.Conv1DTranspose(3, 4, strides=2, padding="same"),
        L.Cropping1D((3, 2)),
        L.PReLU(shared_axes=[1]),
        L.Conv1DTranspose(2, 3, strides=2, output_padding=1),
    ]
    return keras.Sequential(layers)


def normalized() -> keras.Model:
    inputs = keras.Input((6, 5, 4))
    x = L.GroupNormalization(2)(L.Conv2D(6, 2)(inputs))
    x = L.Conv2D(4, 2)(L.LayerNormalization(epsilon=1e-5, scale=False)(x))
    x = L.GroupNormalization(-1, center=False)(x)
    return keras.Model(inputs, [L.LayerNormalization(axis=[1, 2, 3])(x), L.Dense(3)(L.Flatten()(x))])


def operations() -> keras.Model:
    """Functions in the place of layers."""
    inputs, ops, activations = keras.Input((5,)), keras.ops, keras.activations
    x = L.Dense(4)(inputs)
    outputs = [f(x) for f in (ops.relu, ops.relu6, ops.sigmoid, ops.silu, ops.hard_sigmoid, ops.hard_silu, ops.tanh)]
    outputs += [f(x) for f in (ops.selu, ops.softplus, ops.softsign, ops.softmax, ops.hard_tanh, activations.relu)]
    outputs += [activations.relu(x, negative_slope=0.1, max_value=0.5, threshold=0.2), ops.gelu(x, approximate=False)]
    return keras.Model(inputs, [*outputs, ops.elu(x, alpha=0.5), ops.leaky_relu(x, negative_slope=0.3)])


def arithmetic() -> keras.Model:
    inputs = keras.Input((4,))
    x, numbers = L.Dense(4)(inputs), keras.ops.convert_to_tensor([1.0, 2.0, 4.0, 5.0])
    outputs = [1.0 - x, -x, x / 3.0, x / numbers, keras.ops.subtract(numbers, x), L.Average()([x, inputs, x])]
    return keras.Model(inputs, outputs)


WHOLE = [image, graph, two_inputs, nested, both_ways, only_a_view, by_value, the_same_twice]
WHOLE += [transposed, decoder, normalized, arithmetic, operations]


def written(model: keras.Model, folder: Path, **options: object) -> Path:
    kpl.export_c(model, folder / "net.h", **options)
    return compiled(folder, RUN, sizes(model.inputs), sizes(model.outputs), "float32")


def inputs_of(model: keras.Model, count: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(count, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@needs_gcc
@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("make", WHOLE, ids=lambda make: make.__name__)
def test_outputs_are_those_of_keras(make: Callable[[], keras.Model], sparsity: float, tmp_path: Path) -> None:
    model = randomized(make())
    if sparsity and model.weights:
        model = kpl.prune(model, sparsity)
    x = inputs_of(model)
    assert_close(run(written(model, tmp_path), *x), of_keras(model, *x))


@needs_gcc
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("form", ["dense", "mask", "columns", "steps"])
def test_every_form_of_storage(form: str, sparsity: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_prunelab._export._c import _code, _storage

    make = {"dense": _storage.dense}.get(form) or getattr(_storage, f"by_{form}")
    monkeypatch.setattr(_code, "store", lambda matrix, optimize: make(matrix))
    layers = [
        keras.Input((20, 8)),
        L.Conv1D(30, 5, activation="relu"),
        L.LSTM(9),
        L.Dense(700),
        L.Dense(300),
        L.Dense(3),
    ]
    model = randomized(keras.Sequential(layers))
    model = kpl.prune(model, sparsity) if sparsity else model
    x = inputs_of(model)
    program = written(model, tmp_path)
    assert_close(run(program, *x), of_keras(model, *x))
    assert set(kpl.export_c(model, tmp_path / "again.h").forms.values()) == {form}


@needs_gcc
@pytest.mark.parametrize("columns", [(0, 255, 256, 511, 512, 1299), (299,), (), (1299,), (510, 1021)])
def test_long_steps(columns: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_prunelab._export._c import _code, _storage

    monkeypatch.setattr(_code, "store", lambda matrix, optimize: _storage.by_steps(matrix))
    model = keras.Sequential([keras.Input((1300,)), L.Dense(3)])
    kernel = np.zeros((1300, 3), "float32")
    kernel[list(columns), 1] = 1 + np.arange(len(columns))
    kernel[1299, 2] = 5
    model.set_weights([kernel, np.ones(3, "float32")])
    x = inputs_of(model)
    assert_close(run(written(model, tmp_path), *x), x[0] @ kernel + 1)


STREAMS: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    "normalized": lambda: [L.LayerNormalization(), L.Conv1D(6, 3, padding="causal"), L.PReLU(shared_axes=[1])],
    "lstm": lambda: [
        L.Conv1D(5, 3, padding="causal"),
        L.BatchNormalization(),
        L.ReLU(),
        L.LSTM(6, return_sequences=True),
    ],
    "gru": lambda: [L.GRU(6, return_sequences=True), L.BatchNormalization(), L.Dense(3, activation="softmax")],
    "gru, reset before": lambda: [
        L.GRU(6, return_sequences=True, reset_after=False, recurrent_activation="hard_sigmoid", use_bias=False)
    ],
    "simple": lambda: [L.SimpleRNN(6, return_sequences=True, activation="relu"), L.TimeDistributed(L.Dense(3))],
    "causal": lambda: [
        L.Conv1D(8, 3, padding="causal", dilation_rate=4, activation="tanh"),
        L.Conv1D(4, 1),
        L.Conv1D(8, 2, padding="causal"),
    ],
}


@needs_gcc
@pytest.mark.parametrize("length", [None, 12])
@pytest.mark.parametrize("name", STREAMS)
def test_two_streams_at_once(name: str, length: int | None, tmp_path: Path) -> None:
    model = randomized(keras.Sequential([keras.Input((length, 4)), *STREAMS[name]()]))
    header = kpl.export_c(model, tmp_path / "net.h")
    assert header.state_bytes
    assert (header.arena_bytes == 0) == (length is None)
    x = np.random.default_rng(2).normal(size=(2, 12, 4)).astype("float32")
    wanted = np.asarray(model.predict_on_batch(x))
    program = compiled(tmp_path, STEP, [4], [wanted.shape[2]], "float32")
    found = run(program, x.swapaxes(0, 1).reshape(24, 4)).reshape(12, 2, -1).swapaxes(0, 1)
    assert_close(found, wanted)


@needs_gcc
def test_other_layers_backwards(tmp_path: Path) -> None:
    def model(backward: keras.Layer) -> keras.Model:
        return keras.Sequential(
            [keras.Input((7, 4)), L.Bidirectional(L.LSTM(3, return_sequences=True), "concat", backward_layer=backward)]
        )

    gru = randomized(model(L.GRU(4, return_sequences=True, go_backwards=True)))
    kpl.export_c(gru, tmp_path / "net.h")
    x = inputs_of(gru, 10)[0]
    assert_close(run(compiled(tmp_path, RUN, [28], [49], "float32"), x), of_keras(gru, x))  # 42 values, says Keras
    cells = L.RNN(L.LSTMCell(4), return_sequences=True, go_backwards=True)
    with pytest.raises(kpl.InvalidModelError, match="RNN in one of both directions"):
        kpl.export_c(model(cells), tmp_path / "net.h")


@needs_gcc
def test_sequences_of_different_lengths_are_no_stream(tmp_path: Path) -> None:
    one, other = keras.Input((10, 3), name="one"), keras.Input((5, 2), name="other")
    model = randomized(keras.Model([one, other], L.Dense(2)(L.Concatenate()([L.LSTM(4)(one), L.GRU(3)(other)]))))
    header = kpl.export_c(model, tmp_path / "net.h")
    assert header.state_bytes == 0
    x = inputs_of(model, 10)
    assert_close(run(compiled(tmp_path, RUN, [30, 10], [2], "float32"), *x), of_keras(model, *x))
    one = keras.Input((None, 3), name="one")
    model = keras.Model([one, other], L.Dense(2)(L.Concatenate()([L.LSTM(4)(one), L.GRU(3)(other)])))
    with pytest.raises(kpl.InvalidModelError, match="different numbers of steps"):
        kpl.export_c(model, tmp_path / "net.h")


@needs_gcc
def test_a_stream_gives_what_the_sequence_until_then_would(tmp_path: Path) -> None:
    model = randomized(keras.Sequential([keras.Input((None, 4)), L.LSTM(6), L.Dense(3)]))
    kpl.export_c(model, tmp_path / "net.h")
    x = np.random.default_rng(2).normal(size=(2, 8, 4)).astype("float32")
    program = compiled(tmp_path, STEP, [4], [3], "float32")
    found = run(program, x.swapaxes(0, 1).reshape(16, 4)).reshape(8, 2, 3)
    for steps in (1, 3, 8):
        assert_close(found[steps - 1], np.asarray(model.predict_on_batch(x[:, :steps])))


@needs_gcc
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_header_tests_itself(dtype: str, tmp_path: Path) -> None:
    model = randomized(image())
    names = ["a", 'say "b"', "c??/", "d\\n%s", "\u00e9\n*/"]
    kpl.export_c(model, tmp_path / "x-ray.h", inputs_of(model, 50), dtype, name="Net2", class_names=names)
    command = [
        "gcc",
        *("-std=c99", "-Wall", "-Wextra", "-Werror", "-DNET2_MAIN", "-x", "c"),
        "x-ray.h",
        "-o",
        "x",
        "-lm",
    ]
    subprocess.run(command, check=True, cwd=tmp_path)
    result = subprocess.run([tmp_path / "x"], capture_output=True, check=True)
    lines = result.stdout.decode().splitlines()
    assert float(lines[0].split()[-1]) < (1e-5 if dtype == "float32" else 0.05)
    assert 'say "b"' in lines[2]
    text = (tmp_path / "x-ray.h").read_text(encoding="ascii")
    assert "net_" not in text.lower().replace("net2_", "")


@needs_gcc
def test_the_header_is_declarations_without_more_and_reads_as_cpp(tmp_path: Path) -> None:
    model = randomized(
        keras.Sequential([keras.Input((None, 3)), L.GRU(4, name="register"), L.Dense(2, name="1:2 \u00e9")])
    )
    kpl.export_c(model, tmp_path / "net.h")
    (tmp_path / "one.c").write_text('#define NET_IMPLEMENTATION\n#include "net.h"\n')
    (tmp_path / "two.cpp").write_text(
        '#include "net.h"\n#include "net.h"\nint main() { net_state s; net_reset(&s); }\n'
    )
    flags = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", "-std=c99", *flags, "-c", "one.c"], check=True, cwd=tmp_path)
    subprocess.run(["g++", *flags, "two.cpp", "one.o", "-lm", "-o", "two"], check=True, cwd=tmp_path)


@needs_gcc
def test_names_that_look_like_those_of_other_layers(tmp_path: Path) -> None:
    inputs = keras.Input((6, 4), name="net_run")
    x = L.Conv1D(4, 2, padding="causal", name="conv")(inputs)
    x = L.Conv1D(4, 3, padding="causal", name="conv_step")(x)
    x = L.LSTM(4, return_sequences=True, name="a")(x)
    x = L.Dense(4, name="a_kernel")(x)
    x = L.Dense(4, name="net_dense")(L.Add(name="sum")([x, L.Dense(4, name="a_hidden")(x)]))
    model = randomized(keras.Model(inputs, L.Dense(2, name="conv_patch")(x)))
    for dtype, name, largest in (("float32", "net", 1e-5), ("int8", "a", 0.5)):  # of a range of 15
        data = inputs_of(model, 50)[0]
        kpl.export_c(model, tmp_path / "x.h", data, dtype, name=name, class_names=["net_", "NET_X"] * 6)
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-D{name.upper()}_MAIN"]
        subprocess.run(["gcc", *flags, "-x", "c", "x.h", "-o", "x", "-lm"], check=True, cwd=tmp_path)
        lines = subprocess.run([tmp_path / "x"], capture_output=True, check=True).stdout.decode().splitlines()
        assert float(lines[0].split()[-1]) < largest
        assert [line.split()[0] for line in lines[1:3]] == ["net_", "NET_X"]


@needs_gcc
@pytest.mark.parametrize("length", [5, None])
def test_class_names_of_each_step(length: int | None, tmp_path: Path) -> None:
    model = randomized(keras.Sequential([keras.Input((length, 4)), L.GRU(6, return_sequences=True), L.Dense(3)]))
    kpl.export_c(model, tmp_path / "net.h", class_names=["left", "right", "none"])
    command = ["gcc", "-std=c99", "-fsanitize=address,undefined", "-DNET_MAIN", "-x", "c", "net.h", "-o", "net", "-lm"]
    subprocess.run(command, check=True, cwd=tmp_path)
    lines = subprocess.run([tmp_path / "net"], capture_output=True, check=True).stdout.decode().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["left", "right", "none"] * (length or 0)
    with pytest.raises(kpl.InvalidModelError, match="2 class names for outputs of 3 values; give as many"):
        kpl.export_c(model, tmp_path / "net.h", class_names=["left", "right"])


@needs_gcc
def test_names_that_are_types_or_macros(tmp_path: Path) -> None:
    inputs = x = keras.Input((4,), name="size_t")
    for name in ("int8_t", "int32_t", "linux", "unix", "ptrdiff_t", "uint8_t", "asm", "y0"):
        x = L.Dense(4, name=name)(x)
    model = randomized(keras.Model(inputs, x))
    for dtype, largest in (("float32", 1e-5), ("int8", 0.5)):
        kpl.export_c(model, tmp_path / "net.h", inputs_of(model, 50)[0], dtype)
        flags = ["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-DNET_MAIN"]  # in which linux is 1, and asm a keyword
        subprocess.run(["gcc", *flags, "-x", "c", "net.h", "-o", "net", "-lm"], check=True, cwd=tmp_path)
        lines = subprocess.run([tmp_path / "net"], capture_output=True, check=True).stdout.decode().splitlines()
        assert float(lines[0].split()[-1]) < largest * np.abs(of_keras(model, *inputs_of(model, 50))).max()


def test_only_what_is_used_is_there(tmp_path: Path) -> None:
    kpl.export_c(keras.Sequential([keras.Input((3,)), L.Dense(2, activation="relu")]), tmp_path / "net.h")
    text = (tmp_path / "net.h").read_text(encoding="ascii")
    assert set(re.findall(r"^static \w+ (net_\w+)\(", text, re.MULTILINE)) == {
        "net_add_product_dense",
        "net_dense",
        "net_apply",
        "net_relu",
        "net_test",
    }


@needs_gcc
def test_values_share_memory(tmp_path: Path) -> None:
    layers = [keras.Input((100,)), *(L.Dense(100, activation="relu") for _ in range(6)), L.Dense(1)]
    model = randomized(keras.Sequential(layers))
    assert kpl.export_c(model, tmp_path / "net.h").arena_bytes == 2 * 400
    x = inputs_of(model)
    assert_close(run(written(model, tmp_path), *x), of_keras(model, *x))


def test_sparse_headers_are_small(tmp_path: Path) -> None:
    layers = [keras.Input((784,)), L.Dense(300, activation="relu"), L.Dense(100, activation="relu"), L.Dense(10)]
    model = randomized(keras.Sequential([*layers, L.Softmax()]))
    x = inputs_of(model, 50)
    for dtype in ("float32", "int8"):
        dense = kpl.export_c(model, tmp_path / "net.h", x, dtype)
        sparse = kpl.export_c(kpl.prune(model, 0.95), tmp_path / "net.h", x, dtype)
        assert dense.constant_bytes == dense.dense_bytes
        assert sparse.constant_bytes <= 0.12 * dense.constant_bytes


def test_speed_takes_dense_where_few_are_zero(tmp_path: Path) -> None:
    model = randomized(keras.Sequential([keras.Input((300,)), L.Dense(200, name="first")]))
    forms = [
        kpl.export_c(kpl.prune(model, sparsity), tmp_path / "net.h", optimize="speed").forms["first"]
        for sparsity in (0.5, 0.9)
    ]
    assert forms == ["dense", "columns"]


class Doubled(keras.layers.Layer):
    def call(self, x: object) -> object:
        return 2 * x


def test_all_unsupported_layers_are_listed(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.UpSampling2D(2, interpolation="bilinear", name="up")(inputs)
    x = Doubled(name="mine")(L.Conv2D(4, 3, activation=keras.activations.sparse_plus, name="odd")(x))
    model = keras.Model(inputs, L.Softmax(axis=1, name="over_rows")(x))
    (tmp_path / "net.h").write_text("before")
    with pytest.raises(kpl.InvalidModelError) as error:
        kpl.export_c(model, tmp_path / "net.h")
    for part in ("4 layers", "'up' (UpSampling2D)", "'mine' (Doubled)", "'odd'", "sparse_plus", "'over_rows'"):
        assert part in str(error.value)
    assert (tmp_path / "net.h").read_text() == "before"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": "net.c"}, kpl.InvalidModelError, r"should end in \.h"),
        ({"path": "5 nets.h"}, kpl.InvalidModelError, "name='net'"),
        ({"name": "int"}, kpl.InvalidModelError, "name='int'"),
        ({"dtype": "int4"}, kpl.UnknownNameError, "'float32', 'int8'"),
        ({"optimize": "both"}, kpl.UnknownNameError, "'size', 'speed'"),
        ({"dtype": "int8"}, kpl.InvalidDataError, "needs data="),
        ({"class_names": ["a"]}, kpl.InvalidModelError, "1 class names for outputs of 2"),
        ({"class_names": "ab"}, kpl.InvalidModelError, "give texts"),
        ({"data": np.zeros((5, 3), "float32"), "dtype": "int8"}, kpl.InvalidDataError, "is 0 everywhere"),
        ({"data": np.full((5, 3), np.nan, "float32"), "dtype": "int8"}, kpl.InvalidDataError, "NaN"),
        ({"data": np.full((5, 3), np.nan, "float32")}, kpl.InvalidDataError, "NaN"),
        ({"data": np.zeros((5, 4), "float32")}, kpl.InvalidDataError, "shape"),
        ({"data": np.zeros((0, 3), "float32")}, kpl.InvalidDataError, "empty"),
        ({"path": "none/net.h"}, FileNotFoundError, "none"),
    ],
)
def test_bad_arguments(options: dict[str, object], error: type[Exception], message: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    path = tmp_path / str(options.pop("path", "net.h"))
    with pytest.raises(error, match=message):
        kpl.export_c(model, path, **options)
    assert list(tmp_path.iterdir()) == []


def test_bad_models(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, name="broken")])
    model.layers[0].kernel.assign(np.full((3, 2), np.inf))
    with pytest.raises(kpl.InvalidModelError, match="broken"):
        kpl.export_c(model, tmp_path / "net.h")
    free = keras.Sequential([keras.Input((None, 3)), L.Conv1D(2, 3)])
    with pytest.raises(kpl.InvalidModelError, match="fix_lengths"):
        kpl.export_c(free, tmp_path / "net.h")
    relu = keras.Sequential([keras.Input((5, 3)), L.LSTM(2, activation="relu")])
    with pytest.raises(kpl.InvalidModelError, match="no bound"):
        kpl.export_c(relu, tmp_path / "net.h", np.ones((2, 5, 3)), "int8")
    with pytest.raises(kpl.InvalidModelError, match="not built"):
        kpl.export_c(keras.Sequential([L.Dense(2)]), tmp_path / "net.h")


@needs_gcc
def test_normalizations_that_see_hardly_any_variance(tmp_path: Path) -> None:
    """Folding rounds in other places, and such a network amplifies that: it is written all the same."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization(epsilon=1e-9), L.Dense(2)])
    kernel, bias = np.full((4, 3), 1e-3, "float32"), np.full(3, 1000, "float32")
    last = np.array([[1, -2], [3, 1], [-1, 2]], "float32")
    mean, variance, x = np.full(3, 1000, "float32"), np.full(3, 1e-6, "float32"), np.ones((1, 4), "float32")
    model.set_weights([kernel, bias, np.ones(3), np.zeros(3), mean, variance, last, np.zeros(2)])
    folded = run(written(model, tmp_path), x)
    exact = (x.astype(float) @ kernel + bias - mean) / np.sqrt(variance + 1e-9) @ last
    # Half a step of numbers near 1000, as many as each sum has roundings, through the rest of the network.
    amplified = 6 * np.spacing(np.float32(1000)) / np.sqrt(1e-6) * np.abs(last).sum(axis=0)
    assert np.abs(of_keras(model, x) - folded).max() > 1e-4 * np.abs(exact).max(), "it rounds as Keras does"
    assert (np.abs(folded - exact) <= amplified).all()


def test_a_network_that_would_compute_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = _export.computed

    def wrong(*arguments: Any) -> dict[str, np.ndarray]:
        return {name: 1.001 * value for name, value in right(*arguments).items()}

    monkeypatch.setattr(_export, "computed", wrong)
    with pytest.raises(kpl.NotEquivalentError, match=r"1\.0e-03 of the"):
        kpl.export_c(keras.Sequential([keras.Input((3,)), L.Dense(2)]), tmp_path / "net.h")
    assert list(tmp_path.iterdir()) == []


def test_masks_of_steps_are_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5, 3)), L.Masking(), L.LSTM(2)])
    with pytest.raises(kpl.InvalidModelError, match="Masking"):
        kpl.export_c(model, tmp_path / "net.h")


PAGE = Path(__file__).resolve().parents[2] / "docs" / "c.md"
MEX = """
#include <stddef.h>
typedef struct mxArray mxArray;
enum { mxSINGLE_CLASS, mxREAL };
int mxIsSingle(const mxArray *array);
size_t mxGetNumberOfElements(const mxArray *array);
void mexErrMsgIdAndTxt(const char *id, const char *text, ...);
mxArray *mxCreateNumericMatrix(size_t rows, size_t columns, int type, int flag);
void *mxGetData(const mxArray *array);
"""


@needs_gcc
def test_the_blocks_of_c_on_the_page_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    python, *blocks = re.findall(r"^```(?:python|c)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    exec(compile(python, str(PAGE), "exec"), {})  # noqa: S102 # our own documentation
    (tmp_path / "mex.h").write_text(MEX)
    assert len(blocks) == 4
    for index, block in enumerate(blocks):
        (tmp_path / f"{index}.c").write_text(block)
        command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-I.", f"{index}.c", "-lm", "-o", str(index)]
        subprocess.run(command if "int main" in block else [*command, "-c"], check=True)


def test_the_page_names_every_layer() -> None:
    from keras_prunelab._export._c import _export  # registers them
    from keras_prunelab._export._c._reader import _READ

    text = PAGE.read_text(encoding="utf-8")
    known = [cls.__name__ for cls in (L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.AlphaDropout, L.Identity)]
    known += [kind.__name__ for kind in _READ if kind.__module__.startswith(("keras.src.ops", "keras.src.activations"))]
    known += ["GaussianDropout", "GaussianNoise", "ActivityRegularization"]
    missing = [
        kind.__name__
        for kind in _READ
        if f"`{re.sub('[12]D$', '', kind.__name__) if 'Pooling' in kind.__name__ else kind.__name__}`" not in text
        and kind.__name__ not in known
    ]
    assert _export.export_c is kpl.export_c
    assert missing == []


def test_files_with_the_names_of_keywords() -> None:
    names = ("lab-5", "3d", "for", "int", "ünet")
    assert [identifier(name) for name in names] == ["lab_5", "net_3d", "net_for", "net_int", "net"]
