"""Folders and zips of images whose folders are their labels, and archives that must not be opened."""

from __future__ import annotations

import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from matlab_bridge import DatasetError, DatasetNotFoundError, LabelMismatchError, UnsafeArchiveError, load_dataset
from tests.matlab_bridge.datasets_by_hand import digit_folders, image_file, network, pixels

NET = network("Image", 6, 5, 1, class_names=("2", "0", "1"))


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def archive(path, members):
    """A zip of names and bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def check(data, images):
    """Images are in the order of their paths, labels in the order of the network's classes."""
    names = sorted(images)
    assert (data.inputs[..., 0] == np.stack([images[name] for name in names])).all()
    assert data.labels.tolist() == [NET.class_names.index(name.split("/")[0]) for name in names]
    assert data.class_names == NET.class_names
    assert len(data) == len(names)


def test_a_folder_of_classes(tmp_path):
    images = digit_folders(tmp_path)
    data = load_dataset(tmp_path, network=NET)
    check(data, images)
    assert "labels are the names of the folders: '0', '1', '2'" in data.description


@pytest.mark.parametrize("top", ["", "digits/", "a/b/"])
def test_a_zip_of_classes(tmp_path, top):
    images = {f"{c}/image{n}.png": pixels(10 * c + n, 6, 5) for c in range(3) for n in range(2)}
    members = {top + name: png(image) for name, image in images.items()}
    members |= {
        "__MACOSX/0/._image0.png": b"junk",
        f"{top}0/.DS_Store": b"junk",
        f"{top}readme.txt": b"hello",
    }
    check(load_dataset(archive(tmp_path / "digits.zip", members), network=NET), images)


def test_files_are_sorted_by_the_codes_of_their_characters_as_matlab_does(tmp_path):
    images = {
        f"0/{name}.png": pixels(n, 6, 5)
        for n, name in enumerate(["image9001", "image10000", "Image1", "image9", "b51", "b509"])
    }
    for name, image in images.items():
        image_file(tmp_path / name, image)
    digit_folders(tmp_path, ("1",), 1)
    order = ["Image1", "b509", "b51", "image10000", "image9", "image9001"]
    data = load_dataset(tmp_path)
    assert (data.inputs[:6, ..., 0] == np.stack([images[f"0/{name}.png"] for name in order])).all()


def test_without_a_network_the_classes_are_sorted(tmp_path):
    digit_folders(tmp_path, ("b", "a"))
    data = load_dataset(tmp_path)
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.inputs.shape == (4, 6, 5, 1)


def test_validation_goes_before_test_and_test_before_training(tmp_path):
    for split in ("train", "test"):
        digit_folders(tmp_path / "data" / split, each=1 if split == "test" else 3)
    data = load_dataset(tmp_path, network=NET)
    assert len(data) == 3
    assert "'test' is taken" in data.description
    assert len(load_dataset(tmp_path, "train", network=NET)) == 9
    digit_folders(tmp_path / "data" / "validation", each=2)
    assert len(load_dataset(tmp_path, network=NET)) == 6


def test_images_in_one_folder_have_no_labels(tmp_path):
    for n in range(3):
        image_file(tmp_path / f"{n}.png", pixels(n, 6, 5))
    data = load_dataset(tmp_path, network=NET)
    assert data.labels is None
    assert data.class_names == NET.class_names
    assert "no label" in data.description


def test_one_folder_that_is_a_class_is_a_label(tmp_path):
    digit_folders(tmp_path, ("1",))
    assert load_dataset(tmp_path, network=NET).labels.tolist() == [2, 2]


def test_folders_that_are_not_the_classes(tmp_path):
    digit_folders(tmp_path, ("0", "cat"))
    with pytest.raises(LabelMismatchError, match="Only among the labels: 'cat'"):
        load_dataset(tmp_path, network=NET)


def test_images_beside_class_folders(tmp_path):
    digit_folders(tmp_path)
    image_file(tmp_path / "stray.png", pixels(0, 6, 5))
    with pytest.raises(DatasetNotFoundError, match="beside the folders"):
        load_dataset(tmp_path, network=NET)


def test_no_images(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(DatasetNotFoundError, match=r"holds no images.*\.png"):
        load_dataset(tmp_path)
    digit_folders(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="no images under 'elsewhere'"):
        load_dataset(tmp_path, "elsewhere")


def test_images_are_not_for_every_network_and_have_no_variables(tmp_path):
    digit_folders(tmp_path)
    with pytest.raises(DatasetError, match="takes 4 features"):
        load_dataset(tmp_path, network=network("Feature", 4))
    with pytest.raises(DatasetError, match="labels='Y' names a variable"):
        load_dataset(tmp_path, labels="Y")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/etc/0/a.png", "absolute path"),
        ("\\\\server\\0\\a.png", "absolute path"),
        ("C:/0/a.png", "absolute path"),
        ("../0/a.png", "leaves the folder"),
        ("0/../../a.png", "leaves the folder"),
        ("0\\..\\..\\a.png", "leaves the folder"),
    ],
)
def test_members_that_would_leave_the_folder(tmp_path, name, says):
    path = archive(tmp_path / "bad.zip", {"0/good.png": png(pixels(0, 6, 5)), name: png(pixels(1, 6, 5))})
    with pytest.raises(UnsafeArchiveError, match=says):
        load_dataset(path)


def test_members_that_are_links(tmp_path):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as file:
        link = zipfile.ZipInfo("0/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError, match="symbolic link"):
        load_dataset(path)


def test_archives_that_would_grow_too_large(tmp_path):
    path = archive(tmp_path / "large.zip", {"0/a.png": png(pixels(0, 60, 50)), "1/b.png": png(pixels(1, 60, 50))})
    assert len(load_dataset(path)) == 2
    with pytest.raises(UnsafeArchiveError, match=r"more than the 1000 that are allowed.*max_bytes="):
        load_dataset(path, max_bytes=1000)


def test_images_that_would_grow_too_large_when_they_are_decoded(tmp_path):
    flat = png(np.zeros((1000, 1000), np.uint8))
    assert len(flat) < 5000
    path = archive(tmp_path / "bomb.zip", {"0/a.png": flat, "1/b.png": flat})
    with pytest.raises(UnsafeArchiveError, match="Decoded, the images take more than 1500000 bytes"):
        load_dataset(path, max_bytes=1_500_000)


def test_members_that_claim_to_shrink_impossibly(tmp_path):
    path = archive(tmp_path / "lie.zip", {"0/a.png": b"0" * 4000})
    raw = bytearray(path.read_bytes())
    where = raw.index(b"PK\x01\x02")
    raw[where + 24 : where + 28] = (2**30).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(UnsafeArchiveError, match="claims to grow from"):
        load_dataset(path)


def test_encrypted_and_damaged_archives(tmp_path):
    path = archive(tmp_path / "locked.zip", {"0/a.png": png(GRAY := pixels(0, 6, 5)), "1/b.png": png(GRAY)})
    raw = bytearray(path.read_bytes())
    locked = raw.copy()
    locked[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(DatasetError, match="encrypted"):
        load_dataset(path)
    damaged = raw.copy()
    damaged[45] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match=r"0/a\.png"):
        load_dataset(path)
    path.write_bytes(b"PK but nothing else")
    with pytest.raises(DatasetError, match="no zip archive"):
        load_dataset(path)


def test_every_damage_of_an_archive_is_an_error_of_ours(tmp_path):
    path = archive(tmp_path / "digits.zip", {f"{c}/a.png": png(pixels(c, 6, 5)) for c in range(2)})
    raw = path.read_bytes()
    chance = np.random.default_rng(0)
    damaged = [raw[:length] for length in range(0, len(raw), 7)]
    for _ in range(600):
        data = bytearray(raw)
        for at in chance.integers(len(raw), size=chance.integers(1, 4)):
            data[at] = chance.choice([0, 1, 0x7F, 0xFF, data[at] ^ 1 << int(chance.integers(8))])
        damaged.append(bytes(data))
    errors = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            load_dataset(path)
        except DatasetError:
            errors += 1
    assert errors > len(damaged) // 3


def test_a_compression_that_nobody_knows(tmp_path):
    path = archive(tmp_path / "odd.zip", {"0/a.png": png(pixels(0, 6, 5)), "1/a.png": png(pixels(0, 6, 5))})
    raw = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        raw[raw.index(signature) + place] = 77
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match=r"0/a\.png.*cannot be read"):
        load_dataset(path)


@pytest.mark.parametrize("name", ["0/a.png", "0//a.png", "./0/a.png", "0\\a.png"])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile's own, as it writes the archive of this test
def test_two_members_of_one_name_are_not_one(tmp_path, name):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member in ("0/a.png", name, "1/a.png"):
            file.writestr(member, png(pixels(0, 6, 5)))
    with pytest.raises(DatasetError, match=r"several members named '0/a\.png'"):
        load_dataset(path)


def test_nothing_is_written_beside_a_zip(tmp_path):
    path = archive(tmp_path / "digits.zip", {f"{c}/a.png": png(pixels(c, 6, 5)) for c in range(3)})
    load_dataset(path, network=NET)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("zipped", [False, True])
def test_files_that_are_no_images_are_counted_and_named(tmp_path, zipped):
    images = digit_folders(tmp_path / "digits")
    for index in range(7):
        (tmp_path / "digits" / "0" / f"note{index}.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "digits" / ".DS_Store").write_bytes(b"hidden")
    source = tmp_path / "digits"
    if zipped:
        files = [path for path in source.rglob("*") if path.is_file()]
        source = archive(
            tmp_path / "digits.zip", {path.relative_to(source).as_posix(): path.read_bytes() for path in files}
        )
    data = load_dataset(source, network=NET)
    check(data, images)
    assert "7 files are no images and were left out: '0/note0.txt', " in data.description
    assert "and 2 more" in data.description
