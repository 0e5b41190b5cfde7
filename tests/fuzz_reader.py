"""The process of the fuzzer that reads damaged files: what each target reads, and what reading takes."""

from __future__ import annotations

import contextlib
import gc
import io
import multiprocessing.connection
import resource
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from matlab_bridge import BridgeError, load_dataset, load_network, matfile

FREE_BYTES = 64 << 20
BYTES_PER_BYTE = 8
SECONDS = 10.0
SECONDS_PER_BYTE = 1e-7
"""What reading a file may take: 64 MiB and 8 bytes for each byte that it inflates to; 10 s and 1 s for each 10 MB."""
_MOST_INFLATED = 1 << 31
_ADDRESSES = 6 << 30  # beyond what the process has when it begins: a file that takes more must not take the machine


def read(target: str, path: Path) -> None:
    """Read a file as a target does.

    Raises:
        BridgeError, PruneLabError: the file is damaged.
    """
    _TARGETS[target](path)


def _load(path: Path) -> None:
    """Everything of a file: its description and all values, one error not hiding another."""
    str(matfile.info(path))
    file = matfile.load(path)
    failed = None
    for name in file:
        try:
            file[name]
        except BridgeError as error:
            failed = error
    if failed:
        raise failed


def _store(path: Path) -> None:
    from .fuzz_seeds import sweep

    sweep().execute(lambda *_: None, path, 1)  # type: ignore[attr-defined]


def _sparse(path: Path) -> None:
    import keras_prunelab as kpl

    kpl.load_sparse(path)


_TARGETS: dict[str, Callable[[Path], object]] = {
    "load": _load,
    "dataset": load_dataset,
    "network": lambda path: load_network(path).to_keras(),
    "zip": load_dataset,
    "sparse": _sparse,
    "store": _store,
}
ENDINGS = {"zip": ".zip", "sparse": ".keras", "store": ".db"}
"""The endings of the files that are no `.mat`."""


def inflated(data: bytes) -> int:
    """How many bytes a file holds: its own, and those of each deflated stream in it, whatever it is a part of."""
    total = len(data)
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return total + sum(inflated(archive.read(name)) for name in archive.namelist())
    at = data.find(b"\x78")
    while at >= 0 and total < _MOST_INFLATED:
        used = 1
        if at + 1 < len(data) and (data[at] << 8 | data[at + 1]) % 31 == 0:
            stream, found = zlib.decompressobj(), 0
            rest = data[at:]
            with contextlib.suppress(zlib.error):
                while rest and not stream.eof and total + found < _MOST_INFLATED:
                    found += len(stream.decompress(rest, 1 << 20))
                    rest = stream.unconsumed_tail
            if found:
                total += found
                used = max(1, len(data) - at - len(stream.unused_data) - len(rest)) if stream.eof else 2
        at = data.find(b"\x78", at + used)
    return total


def work(pipe: multiprocessing.connection.Connection, target: str, sound: list[str]) -> None:
    """Read the files whose paths come through a pipe, and answer `"value"`, `"error"`, or what is wrong."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for path in sound:  # what is imported and compiled at first is no cost of a file
        with contextlib.suppress(Exception):
            read(target, Path(path))
    gc.collect()
    gc.freeze()  # what was imported is not searched again for each file
    most = _status("VmSize") + _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    pipe.send("ready")
    while True:
        path, nbytes = pipe.recv()
        pipe.send(_judged(target, Path(path), nbytes))


def _judged(target: str, path: Path, nbytes: int) -> str:
    from keras_prunelab import PruneLabError

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak of memory begins anew
    before, start = _status("VmRSS"), _processor_time()
    try:
        read(target, path)
        answer = "value"
    except (BridgeError, PruneLabError):
        answer = "error"
    except BaseException as error:  # noqa: BLE001  # any other is what is looked for
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        at = "" if where is None else f" at {Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
        answer = f"{type(error).__name__}: {str(error)[:200]}{at}"
    grown, taken = _status("VmHWM") - before, _processor_time() - start
    memory, seconds = FREE_BYTES + BYTES_PER_BYTE * nbytes, SECONDS + SECONDS_PER_BYTE * nbytes
    if grown > memory:
        answer = f"takes {grown / 2**20:.0f} MiB for a file that may take {memory / 2**20:.0f}"
    if taken > seconds:
        answer = f"takes {taken:.0f} s for a file that may take {seconds:.0f}"
    return answer


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _processor_time() -> float:
    """Of this process and of those that it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
