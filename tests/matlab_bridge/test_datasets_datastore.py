"""Image datastore objects: the stored list of files, and objects of several layouts."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge import DatasetError, DatasetNotFoundError, MissingFilesError, load_dataset
from matlab_bridge.datasets._images._datastore import is_datastore, locate, read_datastore
from matlab_bridge.datasets._images._fileset import file_names
from matlab_bridge.datasets._images._prepare import resize_bilinear
from matlab_bridge.matfile import MatlabObject, StructArray
from tests.matlab_bridge.datasets_by_hand import (
    cell,
    digit_folders,
    image_file,
    network,
    pixels,
    stored_files,
)

NET = network("Image", 6, 5, 1, class_names=("2", "0", "1"))
FILES = [(c, f"image{n}.png") for c in "012" for n in range(2)]
WINDOWS = [f"C:\\Users\\me\\digits\\{c}\\{name}" for c, name in FILES]
LABELS = pd.Categorical([c for c, _ in FILES])


def imds(files, labels=LABELS, **more):
    """An object with its files as R2019b and later nest them."""
    inner = MatlabObject("matlab.io.datastore.internal.fileset.CompressedFileSet", {})
    inner.properties["any"] = {
        **files,
        "CompressedFileSet": inner,
    }  # MATLAB's handles point back at themselves
    file_set = MatlabObject("matlab.io.datastore.DsFileSet", {"InternalFileSet": inner})
    splitter = MatlabObject("matlab.io.datastore.splitter.WholeFileCustomReadFileSetSplitter", {"Files": file_set})
    properties = {
        "Labels": labels,
        "FileExts": pd.Categorical([".png"] * len(labels)),
        "IsReadFcnDefault": np.array([[True]]),
        "Splitter": splitter,
        **more,
    }
    return MatlabObject("matlab.io.datastore.ImageDatastore", properties)


def workspace(monkeypatch, folder, **variables):
    """A MAT-file without its bytes, since this package writes no objects of these classes."""
    monkeypatch.setattr("matlab_bridge.matfile.load", lambda path, **options: variables)
    return folder / "lab.mat"


def test_a_stored_list_of_files_of_linux():
    assert file_names(stored_files(("/", "home", "me"), FILES)) == tuple(f"/home/me/{c}/{n}" for c, n in FILES)


def test_a_stored_list_of_files_of_windows():
    stored = stored_files(("C:\\", "Users", "me", "digits"), FILES, separator="\\")
    assert file_names(stored) == tuple(WINDOWS)


def test_files_in_another_order_are_stored_as_runs():
    files = [("a", "1.png"), ("b", "1.png"), ("a", "2.png"), ("a", "3.png"), ("b", "2.png")]
    assert file_names(stored_files(("/", "d"), files)) == tuple(f"/d/{c}/{n}" for c, n in files)


def test_a_shuffled_datastore():
    order = [3, 1, 6, 2, 5, 4]
    got = file_names(stored_files(("/", "d"), FILES, shuffled=order))
    assert got == tuple("/d/{}/{}".format(*FILES[index - 1]) for index in order)


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.text("abcäß0129 ().-", min_size=1, max_size=12)),
        min_size=1,
        max_size=20,
        unique=True,
    )
)
def test_any_names_come_back(files):
    assert file_names(stored_files(("/", "top"), files)) == tuple(f"/top/{c}/{n}" for c, n in files)


def broken(change):
    stored = stored_files(("/", "d"), FILES)
    data = bytearray(stored["PathTree"].tobytes())
    stored["PathTree"] = np.frombuffer(bytes(change(data)), np.uint8)
    return stored


def with_body(change):
    def changed(data):
        body = change(bytearray(zlib.decompress(bytes(data[8:]))))
        return len(body).to_bytes(8, "little") + zlib.compress(bytes(body))

    return broken(changed)


@pytest.mark.parametrize(
    "stored",
    [
        broken(lambda data: data[:-6]),
        broken(lambda data: data[:8] + b"nonsense"),
        broken(lambda data: b"\x01" + bytes(data[1:])),
        broken(lambda data: (1 << 40).to_bytes(8, "little") + bytes(data[8:])),
        with_body(lambda body: body[:-3]),
        with_body(lambda body: body[:4] + b"\x01" + body[5:]),
        {**stored_files(("/", "d"), FILES), "StringTree": "abc"},
        {**stored_files(("/", "d"), FILES), "NumFiles": np.array([[99.0]])},
    ],
    ids=[
        "cut",
        "not zlib",
        "too long",
        "too large",
        "ends early",
        "huge count",
        "letters",
        "number of files",
    ],
)
def test_a_list_that_cannot_be_read_says_what_to_do_in_matlab(stored):
    with pytest.raises(DatasetError, match=r"cannot be read: .*files = imds.Files"):
        file_names(stored)


@pytest.mark.parametrize(
    "value",
    [
        imds(stored_files(("C:\\", "Users", "me", "digits"), FILES, separator="\\")),
        MatlabObject("matlab.io.datastore.ImageDatastore", {"Files": cell(*WINDOWS), "Labels": LABELS}),
        MatlabObject("matlab.io.datastore.ImageDatastore", {"any": {"Files": cell(*WINDOWS), "Labels": LABELS}}),
        MatlabObject(
            "matlab.io.datastore.ImageDatastore",
            {"Files": np.array(WINDOWS, dtype=np.dtypes.StringDType()), "Labels": LABELS},
        ),
        MatlabObject("matlab.io.datastore.ImageDatastore", {"Files": np.array(WINDOWS), "Labels": LABELS}),
        MatlabObject(
            "matlab.io.datastore.ImageDatastore",
            {
                "Splitter": MatlabObject(
                    "splitter",
                    {
                        "Splits": StructArray(
                            [{"Filename": f, "FileIndex": np.ones((1, 1))} for f in WINDOWS], ("Filename",)
                        )
                    },
                ),
                "Labels": LABELS,
                "AlternateFileSystemRoots": cell("one.png"),
            },
        ),
    ],
    ids=["compressed", "cellstr", "saveobj", "string", "char", "struct array"],
)
def test_layouts_of_a_datastore(value):
    store = read_datastore(value, "imds")
    assert store.files == tuple(WINDOWS)
    assert list(store.labels) == [c for c, _ in FILES]
    assert store.preprocessing.size is None


def test_an_augmented_datastore_holds_a_datastore_and_what_it_does_to_images():
    for class_name in ("augmentedImageDatastore", "augmentedImageSource"):
        settings = {
            "OutputSize": np.array([[8.0, 7.0]]),
            "OutputSizeMode": "resize",
            "ColorPreprocessing": "gray2rgb",
            "DatasourceInternal": MatlabObject("nnet.internal.x", {"imds": imds(stored_files(("/", "d"), FILES))}),
        }
        value = MatlabObject(class_name, {"any": settings})
        assert is_datastore(value)
        store = read_datastore(value, "auimds")
        assert len(store.files) == 6
        assert (store.preprocessing.size, store.preprocessing.color) == ((8, 7), "gray2rgb")


def test_a_datastore_without_a_list_of_files():
    with pytest.raises(DatasetError, match=r"no list of image files.*files = imds.Files"):
        read_datastore(MatlabObject("matlab.io.datastore.ImageDatastore", {"Labels": LABELS}), "imds")
    assert not is_datastore(MatlabObject("matlab.io.datastore.PixelLabelDatastore", {}))


@pytest.mark.parametrize("inside", ["", "digits", "me/digits", "Users/me/digits"])
@pytest.mark.parametrize(
    "stored",
    [
        stored_files(("C:\\", "Users", "me", "digits"), FILES, separator="\\"),
        stored_files(("/", "Users", "me", "digits"), FILES),
    ],
    ids=["windows", "macos"],
)
def test_paths_of_another_machine_are_found_under_image_root(tmp_path, monkeypatch, inside, stored):
    images = digit_folders(tmp_path / "here" / inside)
    path = workspace(monkeypatch, tmp_path, imds=imds(stored))
    data = load_dataset(path, "imds", network=NET, image_root=tmp_path / "here")
    assert (data.inputs[..., 0] == np.stack([images[f"{c}/{name}"] for c, name in FILES])).all()
    assert data.labels.tolist() == [NET.class_names.index(c) for c, _ in FILES]


def test_images_beside_the_mat_file_need_no_image_root(tmp_path, monkeypatch):
    digit_folders(tmp_path / "digits")
    path = workspace(monkeypatch, tmp_path, imds=imds(stored_files(("/", "x", "digits"), FILES)), net={"Layers": 1})
    data = load_dataset(path, network=NET)
    assert len(data) == 6
    assert "the inputs are imds, the labels imds.Labels" in data.description


def test_images_where_they_were_need_nothing(tmp_path, monkeypatch):
    digit_folders(tmp_path / "there")
    files = cell(*(str(tmp_path / "there" / c / name) for c, name in FILES))
    value = MatlabObject("matlab.io.datastore.ImageDatastore", {"Files": files, "Labels": LABELS})
    (tmp_path / "elsewhere").mkdir()
    assert len(load_dataset(workspace(monkeypatch, tmp_path / "elsewhere", imds=value), network=NET)) == 6


def test_missing_images_are_counted_and_shown(tmp_path, monkeypatch):
    digit_folders(tmp_path / "digits", ("0", "1"))
    (tmp_path / "empty").mkdir()
    path = workspace(monkeypatch, tmp_path, imds=imds(stored_files(("/", "digits"), FILES)))
    with pytest.raises(MissingFilesError, match=r"2 of 6 images are missing.*digits/2/image0.png.*image_root="):
        load_dataset(path, "imds", network=NET)
    with pytest.raises(MissingFilesError, match=r"6 of 6 images are missing, not under image_root=.*and 3 more"):
        load_dataset(path, "imds", network=NET, image_root=tmp_path / "empty")
    with pytest.raises(MissingFilesError, match="is no folder"):
        load_dataset(path, "imds", network=NET, image_root=tmp_path / "nowhere")


def test_files_of_one_name_must_not_become_one_file(tmp_path):
    image_file(tmp_path / "image0.png", pixels(0, 6, 5))
    with pytest.raises(DatasetError, match="2 images lead to only 1 files"):
        locate(["/d/0/image0.png", "/d/1/image0.png"], [tmp_path], tmp_path)


def test_a_stored_path_cannot_lead_out_of_image_root(tmp_path):
    image_file(tmp_path / "secret.png", pixels(0, 6, 5))
    (tmp_path / "root").mkdir()
    with pytest.raises(MissingFilesError):
        locate(["/d/../secret.png"], [tmp_path / "root"], tmp_path / "root")


def test_an_augmented_datastore_resizes(tmp_path, monkeypatch):
    images = digit_folders(tmp_path / "digits")
    settings = {"OutputSize": np.array([[8.0, 7.0]]), "ColorPreprocessing": "none"}
    inner = imds(stored_files(("/", "digits"), FILES))
    value = MatlabObject("augmentedImageDatastore", {"any": {**settings, "Datasource": inner}})
    path = workspace(monkeypatch, tmp_path, imds=inner, auimds=value)
    data = load_dataset(path, network=network("Image", 8, 7, 3, class_names="012"))
    assert "the inputs are auimds" in data.description
    assert "6 of them were resized" in data.description
    first = resize_bilinear(images["0/image0.png"], (8, 7))
    assert (data.inputs[0] == first[..., np.newaxis]).all()


def test_labels_that_are_not_the_datastores(tmp_path, monkeypatch):
    digit_folders(tmp_path / "digits")
    value = imds(stored_files(("/", "digits"), FILES), labels=np.empty((0, 0)))
    path = workspace(monkeypatch, tmp_path, imds=value, Y=cell(*"201201"))
    assert load_dataset(path, "imds", "Y", network=NET).labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert load_dataset(path, "imds", network=NET).labels is None


def test_a_read_function_of_its_own_is_mentioned(tmp_path, monkeypatch):
    digit_folders(tmp_path / "digits")
    value = imds(stored_files(("/", "digits"), FILES), IsReadFcnDefault=np.array([[False]]))
    path = workspace(monkeypatch, tmp_path, imds=value)
    assert "ReadFcn of its own, which is not run" in load_dataset(path, network=NET).description


def test_labels_that_are_not_the_folders_of_their_files_are_mentioned(tmp_path, monkeypatch):
    digit_folders(tmp_path / "digits")
    stored = stored_files(("/", "digits"), FILES)
    path = workspace(monkeypatch, tmp_path, imds=imds(stored, labels=pd.Categorical(list("001221"))))
    assert "2 labels are not the names of their files' folders" in load_dataset(path, network=NET).description
    path = workspace(monkeypatch, tmp_path, imds=imds(stored))
    assert "folders" not in load_dataset(path, network=NET).description


def test_of_several_datastores_validation_is_taken(tmp_path, monkeypatch):
    digit_folders(tmp_path / "digits")
    whole = imds(stored_files(("/", "digits"), FILES))
    part = imds(stored_files(("/", "digits"), FILES[2:4]), labels=LABELS[2:4])
    path = workspace(monkeypatch, tmp_path, imds=whole, imdsTrain=whole, imdsValidation=part)
    assert len(load_dataset(path, network=NET)) == 2
    path = workspace(monkeypatch, tmp_path, imdsA=whole, imdsB=part)
    with pytest.raises(DatasetNotFoundError, match=r"inputs='imdsA'.*\n.*inputs='imdsB'"):
        load_dataset(path, network=NET)
