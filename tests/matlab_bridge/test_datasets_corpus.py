"""Datasets that MATLAB users saved: what is found in them, and what a trained network says of the reading."""

from __future__ import annotations

import numpy as np
import pytest

from matlab_bridge import DatasetError, MissingFilesError, load, load_dataset, load_network
from matlab_bridge.datasets import candidates
from matlab_bridge.datasets._images._datastore import is_datastore, read_datastore

pytestmark = pytest.mark.corpus

NNV = "transafeailab__nnv/examples__"
MNIST = f"{NNV}artifact__CAV2020_ImageStar__MNIST_NETS__"
DIGITS = "transafeailab__nnv/tests__nn__layers__batchNormalizationLayer__test_Nets.mat"
MASKS = "abhisargupta85__Matlab-Face-Mask-Detection/CNN.mat"
SEGMENTATION = f"{NNV}nn__ssn__TransposedCNN__M2NIST__net.mat"


@pytest.mark.parametrize(
    ("network", "data", "accuracy"),
    [
        (f"{MNIST}Architecture__Small_ConvNet.mat", f"{MNIST}Small__images.mat", 0.988),
        (f"{MNIST}Architecture__Medium_ConvNet.mat", f"{MNIST}Medium__images.mat", 0.9995),
        (f"{MNIST}Architecture__Large_ConvNet.mat", f"{MNIST}Large__images.mat", 1.000),
        (f"{NNV}nn__cnn__TEST_NET__TEST_NET.mat", f"{NNV}nn__cnn__TEST_NET__test_images.mat", 0.993),
    ],
)
def test_digits_labelled_with_indices_although_the_classes_are_named_by_digits(corpus, network, data, accuracy):
    net = load_network(corpus / network)
    found = load_dataset(corpus / data, network=net)
    assert found.inputs.shape == (2000, 28, 28, 1)
    assert found.class_names == tuple("0123456789")
    # The labels are indices from 1 on; 0 marks what was classified wrongly.
    assert (found.labels == np.ravel(load(corpus / data)["IM_labels"]) - 1).all()
    predicted = net.to_keras().predict(found.inputs, verbose=0).argmax(axis=-1)
    assert round(float(np.mean(predicted == found.labels)), 4) == pytest.approx(accuracy, abs=5e-4)


def test_datastores_list_files_whose_folders_are_their_labels(corpus):
    counts = {}
    for file in (DIGITS, MASKS):
        variables = load(corpus / file)
        for name in variables:
            if is_datastore(variables[name]):
                store = read_datastore(variables[name], name)
                assert [path.split("/")[-2] for path in store.files] == list(store.labels)
                assert len(set(store.files)) == len(store.files)
                counts[name] = len(store.files)
    assert counts == {
        "imdsTrain": 7500,
        "imdsValidation": 2500,
        "audsTest": 277,
        "audsTrain": 2490,
        "imds": 2767,
        "testImgs": 277,
        "trainImgs": 2490,
    }


def test_an_augmented_datastore_and_the_one_inside_it(corpus):
    variables = load(corpus / MASKS)
    augmented, plain = (read_datastore(variables[name], name) for name in ("audsTest", "testImgs"))
    assert augmented.files == plain.files
    assert augmented.preprocessing.size == (227, 227)
    assert plain.preprocessing.size is None
    assert set(augmented.files) < set(read_datastore(variables["imds"], "imds").files)


def test_the_files_of_a_split_are_a_part_of_the_whole(corpus):
    variables = load(corpus / DIGITS)
    whole, train, validation = (
        set(read_datastore(variables[name], name).files) for name in ("imds", "imdsTrain", "imdsValidation")
    )
    assert train | validation == whole
    assert not train & validation


def file_set(value, seen):
    """The struct with the compressed list of files, wherever in an object it is."""
    if id(value) in seen:
        return None
    seen.add(id(value))
    fields = value if isinstance(value, dict) else getattr(value, "fields", {})
    if "PathTree" in fields:
        return fields
    return next((found for child in fields.values() if (found := file_set(child, seen))), None)


def test_a_shuffled_datastore_is_in_the_order_of_the_sizes_that_matlab_noted(corpus):
    """A part of a datastore, shuffled: each file has the size that the whole datastore notes for it."""
    from matlab_bridge.datasets._images._fileset import file_names

    variables = load(corpus / SEGMENTATION)
    whole, part = file_set(variables["imds"], set()), file_set(variables["test"], set())
    sizes = dict(zip(file_names(whole), np.ravel(whole["FileSizes"]), strict=True))
    names = file_names(part)
    assert len(names) == 500
    assert [sizes[name] for name in names] == np.ravel(part["FileSizes"]).tolist()


@pytest.mark.parametrize(("file", "name", "count"), [(MASKS, "audsTest", 277), (DIGITS, "imdsValidation", 2500)])
def test_images_that_are_on_another_machine_are_counted(corpus, file, name, count):
    net = load_network(corpus / file, "net" if file == MASKS else None)
    with pytest.raises(MissingFilesError, match=f"{count} of {count} images are missing.*image_root="):
        load_dataset(corpus / file, network=net)
    assert candidates(corpus / file, net).pairs()[0][0].name == name


def test_sequences_with_a_label_at_each_time_step(corpus):
    data = load_dataset(corpus / "yuanlu9707__WGAN-CBAM-TCN/HumanActivityTrain.mat")
    assert len(data) == len(data.labels) == 6
    assert data.class_names == ("Dancing", "Running", "Sitting", "Standing", "Walking")
    assert all(x.shape == (len(y), 3) for x, y in zip(data.inputs, data.labels, strict=True))


def test_labels_that_are_one_short(corpus):
    path = corpus / "devkicks__mnist_dagnn/imdb.mat"
    with pytest.raises(DatasetError, match="10001 observations but 10000 labels"):
        load_dataset(path, "images.data", "images.labels")


def test_features_in_columns(corpus):
    data = load_dataset(corpus / "Collins200__cnn_hand-written_digit/mnist_test.mat")
    assert data.inputs.shape == (2000, 196)
    assert data.class_names == tuple("0123456789")
    assert "columns of observations" in data.description


@pytest.mark.slow
def test_every_file_has_candidates_or_none(corpus):
    """Looking for data never fails, whatever a file holds."""
    from matlab_bridge import MatFileError

    for path in sorted(corpus.rglob("*.mat")):
        if path.stat().st_size > 20_000_000:
            continue
        try:
            found = candidates(path)
        except MatFileError:
            continue
        assert all(c.observations for c in (*found.inputs, *found.labels)), path


def test_timetables_are_loaded_without_labels(corpus):
    paths = sorted(corpus.glob("kooste2018__Monty_Matlab_SS2021/TrainingData__raw_and_select_jiangnan__*.mat"))
    assert len(paths) == 21
    for path in paths:
        table = load(path)["Acceleration"]
        data = load_dataset(path)
        np.testing.assert_array_equal(data.inputs, table.to_numpy(dtype=np.float32))
        assert data.labels is None


@pytest.mark.slow
def test_every_dataset_is_loaded_or_explained(corpus):
    """No file of data ends in an error that is not ours."""
    import json

    catalogue = json.loads((corpus / "catalogue.json").read_text(encoding="utf-8"))
    paths = [corpus / entry["file"] for entry in catalogue if entry["kind"].startswith("data-")]
    loaded = 0
    for path in paths:
        try:
            data = load_dataset(path)
        except DatasetError:
            continue
        loaded += 1
        assert len(data) > 0, path
    assert (loaded, len(paths)) == (43, 175)
