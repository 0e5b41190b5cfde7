"""LiteRT files as graphs that can be changed: which constants DECODE may make, and the operators that do."""

from __future__ import annotations

import copy
import importlib.util
from collections import defaultdict
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import MissingBackendError

from ._encode import Encoding, smallest

DECODE = "TFLM_DECODE"
_CUSTOM = 32
# The inputs that a kernel reads when it is called. Others, such as the axes of a transposition, are read before.
_DECODABLE = {
    "ADD": (0, 1),
    "BATCH_MATMUL": (0, 1),
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "EMBEDDING_LOOKUP": (1,),
    "FULLY_CONNECTED": (1, 2),
    "GATHER": (0,),
    "MUL": (0, 1),
    "SUB": (0, 1),
    "TRANSPOSE_CONV": (1, 3),
}
_OVERHEAD = 200  # bytes: an operator and two tensors more
_TYPES = {"FLOAT32": "float32", "INT8": "int8", "INT16": "int16", "INT32": "int32", "UINT8": "uint8", "BOOL": "bool"}

Place: TypeAlias = tuple[int, int]
"""The number of a graph, and that of one of its tensors."""


class Graph:
    """A LiteRT file, read."""

    def __init__(self, content: bytes) -> None:
        """Read a file.

        Raises:
            MissingBackendError: the package that knows the format is not installed.
        """
        self._schema = _schema()
        self._model: Any = self._schema.ModelT.InitFromPackedBuf(content, 0)
        self._size = len(content)
        codes = vars(self._schema.BuiltinOperator)
        self._names = {number: name for name, number in codes.items() if not name.startswith("_")}
        types = vars(self._schema.TensorType)
        self.dtypes = {types[name]: np.dtype(dtype) for name, dtype in _TYPES.items()}

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that the file calls, each once, by their names."""
        return tuple(sorted({self._name(op) for graph in self._model.subgraphs for op in graph.operators}))

    def ends(self, kind: str) -> list[tuple[str, Any]]:
        """The inputs or outputs of the file, each with its name, as its signature has it, and its tensor.

        Args:
            kind: `"inputs"` or `"outputs"`.
        """
        graph = self._model.subgraphs[0]
        signatures = self._model.signatureDefs or []
        names = {each.tensorIndex: each.name for each in (getattr(signatures[0], kind) if signatures else [])}
        tensors = [(int(index), graph.tensors[index]) for index in getattr(graph, kind)]
        return [(names.get(index, tensor.name).decode(), tensor) for index, tensor in tensors]

    @property
    def last_operators(self) -> set[str]:
        """The names of the operators that make the outputs; what only passes on is left out."""
        graph = self._model.subgraphs[0]
        wanted, found = {int(index) for index in graph.outputs}, set()
        for operator in reversed(graph.operators):
            if wanted & {int(index) for index in operator.outputs}:
                found.add(self._name(operator))
                if self._name(operator) in ("DEQUANTIZE", "QUANTIZE", "RESHAPE"):
                    wanted |= {int(index) for index in operator.inputs}
        return found

    def int8_steps(self, operator: str) -> list[float]:
        """What a step of the int8 input of every call of an operator is worth."""
        return [
            float(tensor.quantization.scale[0])
            for graph in self._model.subgraphs
            for op in graph.operators
            if self._name(op) == operator
            and (tensor := graph.tensors[op.inputs[0]]).type == self._schema.TensorType.INT8
        ]

    def encode(self) -> dict[str, Encoding]:
        """Encode the constants for which that is smaller, and have DECODE make them before each call.

        DECODE's outputs live until the next operator alone, so each operator that reads one has a DECODE of its own.

        Returns:
            The encodings by the names of the constants.
        """
        found = self._encodings()
        decode = len(self._model.operatorCodes)
        if found:
            code = self._schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version = _CUSTOM, _CUSTOM, DECODE, 1
            self._model.operatorCodes.append(code)
        named = {self._tensor(place).name.decode(): encoding for place, encoding in found.items()}
        buffers: dict[bytes, int] = {}
        for number, graph in enumerate(self._model.subgraphs):
            mine = {index: encoding for (owner, index), encoding in found.items() if owner == number}
            self._decode_in(graph, mine, decode, buffers)
        return named

    def content(self) -> bytes:
        """The file."""
        from ._builder import Builder

        self._drop_unused()
        builder = Builder(self._size + 1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = code.customCode
        return (custom.decode() if isinstance(custom, bytes) else custom) if number == _CUSTOM else self._names[number]

    def _tensor(self, place: Place) -> Any:
        return self._model.subgraphs[place[0]].tensors[place[1]]

    def _encodings(self) -> dict[Place, Encoding]:
        """The constants to be encoded; a buffer that another tensor needs as it is would stay beside its encoding."""
        sharing: dict[int, list[Place]] = defaultdict(list)
        for number, graph in enumerate(self._model.subgraphs):
            for index, tensor in enumerate(graph.tensors):
                sharing[tensor.buffer].append((number, index))
        uses = self._uses()
        found: dict[Place, Encoding] = {}
        for buffer, places in sharing.items():
            data = self._model.buffers[buffer].data
            if data is None or len(data) <= _OVERHEAD or not all(map(self._is_decodable, places, [uses] * len(places))):
                continue
            encodings = {place: self._encoded(place, data) for place in places}
            different = {(each.codes, each.ancillary): each.size for each in encodings.values()}
            calls = sum(len(uses[place]) for place in places)
            if sum(different.values()) + _OVERHEAD * calls < len(data):
                found |= encodings
        return found

    def _uses(self) -> dict[Place, list[tuple[str, int]]]:
        """The operators that read each tensor, and as which of their inputs."""
        uses: dict[Place, list[tuple[str, int]]] = defaultdict(list)
        for number, graph in enumerate(self._model.subgraphs):
            for operator in graph.operators:
                for position, index in enumerate(operator.inputs):
                    uses[number, int(index)].append((self._name(operator), position))
            for index in (*graph.inputs, *graph.outputs):
                uses[number, int(index)].append(("", 0))
        return uses

    def _is_decodable(self, place: Place, uses: dict[Place, list[tuple[str, int]]]) -> bool:
        tensor = self._tensor(place)
        quantization = tensor.quantization
        channels = 0 if quantization is None or quantization.scale is None else len(quantization.scale)
        return (
            bool(uses[place])
            and all(position in _DECODABLE.get(name, ()) for name, position in uses[place])
            and not tensor.isVariable
            and tensor.sparsity is None
            and tensor.type in self.dtypes
            and (channels < 2 or quantization.quantizedDimension in (0, len(tensor.shape) - 1))
        )

    def _encoded(self, place: Place, data: NDArray[np.uint8]) -> Encoding:
        tensor = self._tensor(place)
        values = np.ascontiguousarray(data).view(self.dtypes[tensor.type]).reshape(tensor.shape)
        quantization = tensor.quantization
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            return smallest(values, None, None)
        axis = int(quantization.quantizedDimension) if len(quantization.scale) > 1 else None
        return smallest(values, np.asarray(quantization.zeroPoint), axis)

    def _decode_in(self, graph: Any, found: dict[int, Encoding], code: int, buffers: dict[bytes, int]) -> None:
        ancillaries: dict[int, int] = {}
        originals = {index: copy.copy(graph.tensors[index]) for index in found}
        for index, encoding in found.items():
            graph.tensors[index] = self._bytes_tensor(encoding.codes, buffers)
            ancillaries[index] = len(graph.tensors)
            graph.tensors.append(self._bytes_tensor(encoding.ancillary, buffers))
        operators = []
        for operator in graph.operators:
            inputs = [int(index) for index in operator.inputs]
            needed = [index for index in dict.fromkeys(inputs) if index in found]
            if needed:
                made = self._schema.OperatorT()
                made.opcodeIndex = code
                made.inputs = [each for index in needed for each in (index, ancillaries[index])]
                made.outputs = []
                for index in needed:
                    decoded = copy.copy(originals[index])
                    decoded.buffer = 0
                    made.outputs.append(len(graph.tensors))
                    graph.tensors.append(decoded)
                places = dict(zip(needed, made.outputs, strict=True))
                operator.inputs = [places.get(index, index) for index in inputs]
                operators.append(made)
            operators.append(operator)
        graph.operators = operators

    def _bytes_tensor(self, content: bytes, buffers: dict[bytes, int]) -> Any:
        if content not in buffers:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(content, np.uint8)
            buffers[content] = len(self._model.buffers)
            self._model.buffers.append(buffer)
        tensor = self._schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [len(content)], self._schema.TensorType.UINT8, buffers[content]
        tensor.name, tensor.hasRank = "", True
        return tensor

    def _drop_unused(self) -> None:
        """Empty the buffers that nothing reads; their numbers stay, which metadata refers to."""
        used = {tensor.buffer for graph in self._model.subgraphs for tensor in graph.tensors}
        used |= {entry.buffer for entry in self._model.metadata or []}
        for number, buffer in enumerate(self._model.buffers):
            if number not in used:
                buffer.data = None


def has_decode(content: bytes) -> bool:
    """Whether a LiteRT file is one for TensorFlow Lite Micro alone."""
    return DECODE.encode() in content


def check_format() -> None:
    """Make sure that the package is there which knows LiteRT's format.

    Raises:
        MissingBackendError: it is not installed.
    """
    if not importlib.util.find_spec("ai_edge_litert"):
        raise MissingBackendError(
            "Files for TensorFlow Lite Micro are made with ai-edge-litert and run by tflite-micro: run\n"
            '    pip install "keras-prunelab[device]"'
        )


def _schema() -> Any:
    check_format()
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
