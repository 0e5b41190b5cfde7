"""LiteRT files made ready for TensorFlow Lite Micro: encoded, compared with the dense file, and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_prunelab._errors import NotEquivalentError
from keras_prunelab._export._c._names import identifier
from keras_prunelab._util._atomic import replace_whole

from ._graph import Graph
from ._micro import Array, MicroFile
from ._sources import sources


@dataclass(frozen=True)
class MicroModel:
    """A file for TensorFlow Lite Micro.

    Attributes:
        content: the file.
        dense_bytes: what it takes with every constant stored whole.
        arena: the bytes of working memory that it takes here, where a pointer has 8 bytes.
        dense_arena: the same for the file with every constant stored whole, whose kernels read it where it is.
        operators: those that it calls, by their names in LiteRT's schema.
        forms: how its encoded constants are stored, `"mask"` or `"table"`, by their names.
        ends: the inputs of one run, and the outputs that they give, as the file has them.
    """

    content: bytes
    dense_bytes: int
    arena: int
    dense_arena: int
    operators: tuple[str, ...]
    forms: Mapping[str, str]
    ends: tuple[Sequence[Array], Sequence[Array]]


def micro_model(content: bytes, name: str, inputs: Mapping[str, Array], *, encode: bool) -> MicroModel:
    """Encode a LiteRT file where that is smaller, and run it.

    Args:
        content: a LiteRT file with fixed lengths.
        name: what errors call it.
        inputs: some observations, by the names of the file's inputs; on them the encoded file is compared with the
            dense one.
        encode: whether constants may be encoded.

    Raises:
        InvalidModelError: TensorFlow Lite Micro lacks an operator, or cannot express a scale.
        NotEquivalentError: the encoded file gives other outputs.
        MissingBackendError: `ai-edge-litert` or `tflite-micro` is not installed.
    """
    dense = MicroFile(content, name)
    arrays = [tensor.encode(np.asarray(inputs[tensor.name])) for tensor in dense.inputs]
    expected = dense.run(arrays)
    ends = [array[:1] for array in arrays], [array[:1] for array in dense.in_order_of_file(expected)]
    graph = Graph(content)
    encodings = graph.encode() if encode else {}
    encoded = graph.content() if encodings else content
    if len(encoded) >= len(content):
        return MicroModel(content, len(content), dense.arena, dense.arena, dense.operators, {}, ends)
    file = MicroFile(encoded, name)
    if any(one.tobytes() != other.tobytes() for one, other in zip(expected, file.run(arrays), strict=True)):
        raise NotEquivalentError(
            f"The compressed file of {name} gives other outputs than the dense one in TensorFlow Lite Micro. Nothing "
            "was written; sparse=False writes the dense file."
        )
    forms = {each: encoding.form for each, encoding in encodings.items()}
    return MicroModel(encoded, len(content), file.arena, dense.arena, file.operators, forms, ends)


def write_micro(target: Path, made: MicroModel) -> Path:
    """Write a file, or a folder with the file and what to compile, where the path has no ending.

    Returns:
        The LiteRT file.

    Raises:
        FileNotFoundError: there is no folder to write into.
    """
    if target.suffix:
        with replace_whole(target) as temporary:
            temporary.write_bytes(made.content)
        return target
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist; make it before writing {target.name}.")
    target.mkdir(exist_ok=True)
    name = identifier(target.name)
    texts = sources(name, made.content, made.operators, made.arena, made.ends)
    contents = {each: text.encode("ascii") for each, text in texts.items()}
    for each, content in {f"{target.name}.tflite": made.content, **contents}.items():
        with replace_whole(target / each) as temporary:
            temporary.write_bytes(content)
    return target / f"{target.name}.tflite"
