"""Folders and zip archives of images whose labels are the names of the folders that they lie in."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from matlab_bridge._errors import DatasetNotFoundError
from matlab_bridge.datasets._archives import bytes_of, members_of
from matlab_bridge.datasets._names import SPLITS, split_of
from matlab_bridge.datasets._values import shorten

from ._decode import EXTENSIONS, ImageFile

Images = dict[tuple[str, ...], ImageFile]
Skipped = tuple[str, ...]

_MOST_NAMED = 5  # of the files that are left out


def folder_images(folder: Path) -> tuple[Images, Skipped]:
    """The images in a folder and its subfolders.

    Args:
        folder: its hidden files and folders are left out.

    Returns:
        Images by the parts of their path inside the folder, sorted as `imageDatastore` does: by the code of
        each character; and the names of the other files.
    """
    found = {path.relative_to(folder).parts: ImageFile.of(path) for path in folder.rglob("*") if path.is_file()}
    return _sort_images(found)


def zip_images(archive: zipfile.ZipFile, max_bytes: int) -> tuple[Images, Skipped]:
    """The images in an archive; nothing is written to disk.

    Args:
        archive: an open archive, which must stay open until the images are read.
        max_bytes: the most that its members may take, uncompressed.

    Returns:
        As `folder_images`.

    Raises:
        UnsafeArchiveError: for members with absolute paths or `..`, for symbolic links, and for too much
            data.
        DatasetError: for members that are encrypted, or that have one name.
    """
    members = members_of(archive, max_bytes)
    return _sort_images(
        {
            parts: ImageFile(f"{archive.filename}/{member.filename}", partial(bytes_of, archive, member))
            for parts, member in members.items()
        }
    )


def label_images(
    images: Images, where: str, subfolder: str | None, class_names: Sequence[str], skipped: Skipped = ()
) -> tuple[list[ImageFile], list[str] | None, str]:
    """Images with the name of the folder each lies in.

    Args:
        images: by the parts of their path.
        where: the folder or archive, for messages.
        subfolder: only the images under this folder, such as `"test"`; None chooses among train, validation
            and test.
        skipped: the names of files that are no images, for the sentence.
        class_names: the network's; a folder that holds images itself gives labels only if it is one of them.

    Returns:
        The images, their labels or None where there are no folders, and a sentence.

    Raises:
        DatasetNotFoundError: if there are no images.
    """
    text = ""
    if subfolder is None:
        subfolder = _validation_folder(images)
        text = f" Of the folders for training, validation and test, {subfolder!r} is taken." if subfolder else ""
    if subfolder is not None:
        steps = PurePosixPath(subfolder).parts
        images = {
            parts: image
            for parts, image in images.items()
            if any(parts[i : i + len(steps)] == steps for i in range(len(parts) - len(steps)))
        }
    if skipped:
        text += f" {len(skipped)} files are no images and were left out: {shorten(skipped, _MOST_NAMED)}."
    if not images:
        inside = f" under {subfolder!r}" if subfolder else ""
        raise DatasetNotFoundError(
            f"{where} holds no images{inside}. Images end in {', '.join(sorted(EXTENSIONS))}; a folder of "
            "them for each class, named like the class, gives the labels."
        )
    names = [parts[-2] if len(parts) > 1 else "" for parts in images]
    classes = sorted(set(names))
    if len(classes) == 1 and classes[0] not in class_names:
        text += " All of them lie in one folder, which is no label."
        return list(images.values()), None, text.strip()
    if "" in classes:
        raise DatasetNotFoundError(
            f"{where} holds images beside the folders {shorten(name for name in classes if name)}, and "
            "those have no label. Move them into a folder of their class."
        )
    text = f"The labels are the names of the folders: {shorten(classes)}.{text}"
    return list(images.values()), names, text


def _validation_folder(images: Images) -> str | None:
    """The folder for validation or test, where the first level that branches is made of such folders."""
    depth = 0
    while True:
        level = {parts[depth] for parts in images if len(parts) > depth + 1}
        if len(level) != 1 or any(len(parts) == depth + 1 for parts in images):
            break
        depth += 1
    ranked = sorted((split_of(name), name) for name in level)
    if len(ranked) > 1 and all(SPLITS[rank] for rank, _ in ranked) and ranked[0][0] < ranked[1][0]:
        return ranked[0][1]
    return None


def _sort_images(found: Images) -> tuple[Images, Skipped]:
    shown = sorted(parts for parts in found if not any(part.startswith((".", "__MACOSX")) for part in parts))
    images = {parts: found[parts] for parts in shown if PurePosixPath(parts[-1]).suffix.lower() in EXTENSIONS}
    return images, tuple("/".join(parts) for parts in shown if parts not in images)
