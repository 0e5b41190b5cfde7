"""Input layers: each normalization against its formula, saved, loaded and cloned."""

from __future__ import annotations

import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlab_bridge import UnsupportedLayerError
from matlab_bridge._normalization import Normalization
from matlab_bridge.matfile import FunctionHandle, MatlabObject

from .layer_tools import (
    assert_close,
    chain,
    dropped,
    feature_input,
    image_input,
    layer,
    normal,
    outputs,
    sequence_input,
)
from .networks_by_hand import row

# How MATLAB writes the targets is part of the struct; its public names stand for them.
FORMULAS = {
    "zerocenter": lambda x, s: x - s["Mean"],
    "zscore": lambda x, s: (x - s["Mean"]) / s["Std"],
    "rescale-zero-one": lambda x, s: (x - s["Min"]) / (s["Max"] - s["Min"]),
    "rescale-symmetric": lambda x, s: -1 + 2 * (x - s["Min"]) / (s["Max"] - s["Min"]),
}


def statistics(shape):
    """Single-precision numbers, as MATLAB stores them."""
    low = normal(1, *shape)
    spread = np.abs(normal(2, *shape)).astype(np.float32).astype(float) + 0.5
    return {
        "Mean": normal(3, *shape),
        "Std": spread,
        "Min": low,
        "Max": (low + spread).astype(np.float32).astype(float),
    }


@given(
    st.sampled_from(sorted(FORMULAS)),
    st.sampled_from(["element", "channel", "scalar"]),
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    st.booleans(),
)
@settings(max_examples=25)
def test_normalization_of_images(kind, dimension, size, as_struct):
    shape = {"element": size, "channel": (1, 1, size[2]), "scalar": (1, 1, 1)}[dimension]
    known = statistics(shape)
    stored = {name: dropped(array) for name, array in known.items()}
    if as_struct:
        names = {"Mean": "AverageImage"} if kind == "zerocenter" else {}
        struct = {names.get(name, name): array for name, array in stored.items()}
        given_ = {"Normalization": {"Version": row(2), "Type": kind, "ImageSize": row(*size), **struct}}
    else:
        stored["StandardDeviation"] = stored.pop("Std")
        given_ = {"Normalization": kind, **stored}
    images = normal(4, 2, *size) * 3
    assert_close(
        outputs(chain(image_input(size, **given_)), images).reshape(images.shape),
        FORMULAS[kind](images, known),
    )


@given(st.sampled_from(sorted(FORMULAS)), st.integers(1, 6), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_normalization_of_features_and_sequences(kind, size, is_sequence, is_scalar):
    known = statistics((1,) if is_scalar else (size,))
    struct = {name: dropped(array.reshape(-1, 1)) for name, array in known.items()}
    make = sequence_input if is_sequence else feature_input
    data = normal(4, *((2, 5, size) if is_sequence else (2, size)))
    network = chain(make(size, Normalization={"Type": kind, **struct}))
    assert_close(outputs(network, data), FORMULAS[kind](data, known))


def test_a_struct_that_names_its_own_targets():
    struct = {
        "Type": "rescale-symmetric",
        "Min": row(0),
        "Max": row(4),
        "TargetMin": row(-2),
        "TargetMax": row(6),
    }
    data = normal(1, 3, 2)
    assert_close(outputs(chain(feature_input(2, Normalization=struct)), data), -2 + 8 * data / 4)


NOTHING = [np.zeros((0, 0)), "none", None, np.array([["none"]], dtype=np.dtypes.StringDType())]


@pytest.mark.parametrize("none", [{}, *({"Normalization": each} for each in NOTHING)])
def test_no_normalization(none):
    images = normal(1, 2, 3, 4, 2)
    assert_close(outputs(chain(image_input((3, 4, 2), **none)), images), images)


def test_an_element_without_spread_is_shifted_only():
    known = {"Type": "zscore", "Mean": row(1, 2).T, "Std": row(0, 4).T}
    data = np.array([[1.0, 10.0], [3.0, 2.0]])
    assert_close(outputs(chain(feature_input(2, Normalization=known)), data), np.array([[0, 2], [2, 0]]))


def mean_image(size):
    return image_input(size, Normalization={"Type": "zerocenter", "AverageImage": dropped(normal(1, *size))})


def test_a_mean_image_survives_saving_loading_and_cloning(tmp_path):
    model, images = chain(mean_image((9, 8, 3))).to_keras(), normal(2, 2, 9, 8, 3)
    expected = images - normal(1, 9, 8, 3)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for each in (model, loaded, clone):
        assert_close(np.asarray(each(images)), expected)


def test_a_mean_image_stays_as_it_is_while_the_network_trains():
    model, images = chain(mean_image((4, 3, 1))).to_keras(), normal(2, 2, 4, 3, 1)
    assert model.trainable_variables == []
    model.trainable = True
    assert model.trainable_variables == []
    model(images, training=True)
    assert_close(np.asarray(model(images)), images - normal(1, 4, 3, 1))


def test_a_mean_image_is_no_text(tmp_path):
    chain(mean_image((64, 64, 3))).to_keras().save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        assert archive.getinfo("config.json").file_size < 10_000


def test_a_function_of_the_users_is_refused():
    network = chain(image_input((4, 4, 1), Normalization={"Type": FunctionHandle("@(x)x/255")}))
    with pytest.raises(UnsupportedLayerError, match=r"'input' .*layer 1 of 1: its Normalization is .*@\(x\)x/255"):
        network.to_keras()


@pytest.mark.parametrize(
    "stored",
    [FunctionHandle("@(x)x/255"), MatlabObject("my.Normalization", {}), row(0.5), np.array([[FunctionHandle("@sin")]])],
    ids=["handle", "object", "number", "cell"],
)
def test_what_is_no_normalization_is_refused(stored):
    assert Normalization.of(image_input((4, 4, 1), Normalization=stored)).type == "custom"
    reason = r"'input' .*layer 1 of 1: its Normalization is 'custom', which is none of 'none', 'zerocenter'"
    for make in (lambda **more: image_input((4, 4, 1), **more), lambda **more: sequence_input(3, **more)):
        with pytest.raises(UnsupportedLayerError, match=reason):
            chain(make(Normalization=stored)).to_keras()


def test_a_string_names_a_normalization_as_text_does():
    name = np.array([["zerocenter"]], dtype=np.dtypes.StringDType())
    data = normal(1, 3, 2)
    network = chain(feature_input(2, Normalization=name, Mean=row(1, 2).T))
    assert_close(outputs(network, data), data - [1, 2])


def test_split_complex_inputs_are_refused():
    complex_ = feature_input(3, SplitComplexInputs=np.array([[True]]))
    with pytest.raises(UnsupportedLayerError, match="complex"):
        chain(complex_).to_keras()


@given(st.sampled_from(sorted(FORMULAS)), st.booleans(), st.lists(st.integers(1, 4), min_size=2, max_size=4))
@settings(max_examples=20)
def test_normalization_of_sequences_of_images(kind, by_element, size):
    known = statistics(tuple(size) if by_element else (1,) * (len(size) - 1) + (size[-1],))
    struct = {name: dropped(array) for name, array in known.items()}
    sequences = normal(4, 2, 5, *size)
    network = chain(sequence_input(0, InputSize=row(*size), Normalization={"Type": kind, **struct}))
    assert_close(outputs(network, sequences).reshape(sequences.shape), FORMULAS[kind](sequences, known))


@pytest.mark.parametrize("statistic", [(3, 4, 2, 5), (1, 1, 1, 5)])
def test_images_of_three_dimensions(statistic):
    mean = normal(1, *statistic)
    first = layer(
        "input",
        "Image3DInputLayer",
        {"InputSize": row(3, 4, 2, 5), "Normalization": {"Type": "zerocenter", "AverageImage": dropped(mean)}},
    )
    images = normal(4, 2, 3, 4, 2, 5)
    assert_close(outputs(chain(first), images), images - mean)


def test_statistics_that_were_never_computed_are_named():
    struct = {"Type": "zerocenter", "AverageImage": np.zeros((0, 0))}
    with pytest.warns(UserWarning, match="'input' have no values yet"):
        model = chain(image_input((3, 3, 1), Normalization=struct)).to_keras()
    images = normal(1, 2, 3, 3, 1)
    assert_close(np.asarray(model(images)), images)
