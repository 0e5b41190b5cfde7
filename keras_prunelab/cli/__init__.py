"""The command `prunelab`: what the two packages do, from a shell.

Each subcommand is one module that holds a function `command` and the `EXAMPLES` of its help. Heavy imports (Keras, its
backend, Matplotlib) happen inside the functions, so that `prunelab info` and `--help` answer at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import typer

from keras_prunelab._util._atomic import is_full

from . import _compact, _console, _convert, _evaluate, _info, _lab, _prune, _report, _sweep, _toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = """\
Exit codes: 0 done. 1 an error of the program itself. 2 the command line is wrong. 3 an input cannot be used: a file, a
network, a dataset, an output. 4 no point of the sweep meets the condition (the sweep's results are written all the
same). 5 the disk is full, or a sweep broke off, as when a worker process is ended (what was measured until then is
written where there is room). 130 stopped with Ctrl-C (what was measured until then is written).
"""

app = typer.Typer(
    name="prunelab",
    help="Prune neural networks: Keras models, and networks that MATLAB saved, without MATLAB.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _name, _module in {
    "info": _info,
    "convert": _convert,
    "lab": _lab,
    "report": _report,
    "prune": _prune,
    "compact": _compact,
    "sweep": _sweep,
    "toolbox": _toolbox,
    "evaluate": _evaluate,
}.items():
    app.command(_name, epilog=_module.EXAMPLES, no_args_is_help=True)(_module.command)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        _console.say(f"prunelab {version('keras-prunelab')}")
        raise typer.Exit


@app.callback()
def _global_options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Prune neural networks: Keras models, and networks that MATLAB saved, without MATLAB."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Args:
        arguments: what follows `prunelab`; by default those of this process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow would tell of the graphics card it did not find
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:  # people write it at the end, where a subcommand would not know it
        given = ["--debug", *(argument for argument in given if argument != "--debug")]
    with _console.streams():
        code = _run(given, debug=debug)
        try:
            sys.stdout.flush()
        except OSError as error:
            _console.complain(error, debug=debug)
            code = code or 5
    sys.exit(code)


def _run(given: list[str], *, debug: bool) -> int:
    """Run a command; returns the exit code."""
    from keras_prunelab._errors import PruneLabError
    from keras_prunelab._util._command import COMMAND
    from matlab_bridge import BridgeError

    command = shlex.join(["prunelab", *given])
    token = COMMAND.set(command)
    try:
        app(given, prog_name="prunelab", obj=command)
    except SystemExit as end:  # how Typer leaves, also when all went well
        return int(end.code or 0)
    except (BridgeError, PruneLabError, OSError) as error:
        _console.complain(error, debug=debug)
        return _code_of(error)
    except KeyboardInterrupt:
        _console.stderr.print("Stopped.")
        return 130
    except Exception as error:  # noqa: BLE001  # the last resort: a defect of ours is said in one line, too
        _console.complain(error, debug=debug)
        _console.stderr.print("This is a defect of prunelab. Run again with --debug and report what it prints.")
    finally:
        COMMAND.reset(token)
    return 1


def _code_of(error: Exception) -> int:
    from keras_prunelab._errors import NoTradeOffError, SweepStoppedError

    if isinstance(error, NoTradeOffError):
        return 4
    return 5 if isinstance(error, SweepStoppedError) or is_full(error) else 3
