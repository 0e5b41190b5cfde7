"""The reports that commands write: which, with what in them, and whether they may replace earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _console
from ._options import names_in

if TYPE_CHECKING:
    import keras_prunelab as kpl

FORMATS = ("html", "docx", "pdf")
"""The formats of a report."""


@dataclass(frozen=True)
class Reports:
    """The reports of a command, its options checked.

    Attributes:
        folder: where they are written, as `report.html` and so on.
        formats: those that are written.
        about: the title and the like, as `report` takes them.
        notes: the text of the user's notes.
        hints: whether to name what is not installed for the other formats.
    """

    folder: Path
    formats: tuple[str, ...]
    about: Mapping[str, Any]
    notes: tuple[str, ...]
    hints: bool

    @classmethod
    def of(cls, folder: Path, formats: str | None, notes: Path | None, *, replaces: bool, **about: Any) -> Reports:
        """Check what is asked for, before any work.

        Args:
            folder: where to write.
            formats: names with commas between; None for those for which everything is installed.
            notes: a file of notes, or None.
            replaces: whether reports of an earlier run may be replaced.
            about: title, author, course, paper.

        Raises:
            UnknownNameError: there is no such format.
            MissingBackendError: a format needs a package that is not installed.
            InvalidDataError: the notes are no text.
            OverwriteError: there is a report of an earlier run.
            NotADirectoryError: the folder is a file.
        """
        from ._outputs import check_folder

        found = cls(folder, tuple(_formats(formats)), about, tuple(_read(notes)), formats is None)
        check_folder(folder)
        if not replaces:
            found.refuse_older()
        return found

    @property
    def paths(self) -> dict[str, Path]:
        """The files, by format."""
        return {each: self.folder / f"report.{each}" for each in self.formats}

    def refuse_older(self) -> None:
        """Leave a report of an earlier run alone.

        Raises:
            OverwriteError: there is one.
        """
        from keras_prunelab._errors import OverwriteError

        older = [str(path) for path in self.paths.values() if path.exists()]
        if older:
            raise OverwriteError(
                f"There is a report of an earlier run: {', '.join(older)}. Give --force to replace it, or another "
                "folder with --out."
            )

    def write(
        self,
        result: kpl.SweepResult,
        choice: kpl.Choice | None,
        files: Mapping[str, str],
        notes: Sequence[str],
        **more: Any,
    ) -> None:
        """Write them all, and say where they are."""
        import keras_prunelab as kpl

        for path in self.paths.values():
            kpl.report(result, choice, path, files=dict(files), notes=[*notes, *self.notes], **self.about, **more)
        for path in self.paths.values():
            _console.say(f"Report: {path.resolve()}")
        if self.hints and len(self.formats) < len(FORMATS):
            _console.say('For Word and PDF as well: pip install "keras-prunelab[report]"')


def check_condition(condition: Mapping[str, Any], *, is_share: bool) -> None:
    """Refuse conditions that cannot be meant, before anything is measured or written.

    Args:
        condition: as `SweepResult.choose` takes it.
        is_share: whether the metric is known to be a share from 0 to 1, such as accuracy.

    Raises:
        NoTradeOffError: all of a share may be lost, or the least value of it is no fraction.
    """
    from keras_prunelab._errors import NoTradeOffError

    if is_share and condition.get("max_drop") == 1:
        raise NoTradeOffError(
            "--max-drop 1 can mean one point of accuracy, which is 0.01, or all of it, which every level meets: write "
            "--max-drop 0.01 for one point."
        )
    least = condition.get("min_metric", 0)
    if is_share and not 0 <= least <= 1:
        raise NoTradeOffError(f"--min-metric is a fraction from 0 to 1 (0.98 is 98 %), but got {least:g}.")


def choose(
    result: kpl.SweepResult, condition: Mapping[str, Any]
) -> tuple[kpl.Choice | None, kpl.NoTradeOffError | None]:
    """The choice, or the reason why no level meets the condition; neither where no level is meaningful."""
    from keras_prunelab._errors import NoTradeOffError
    from keras_prunelab._result._doubts import no_meaning

    if no_meaning(result):
        return None, None
    try:
        return result.choose(**condition), None
    except NoTradeOffError as error:
        return None, error


def _formats(names: str | None) -> list[str]:
    from keras_prunelab._errors import UnknownNameError
    from keras_prunelab._report._extra import check_extra, is_there

    if names is None:
        return [each for each in FORMATS if is_there(f".{each}")]
    asked = list(dict.fromkeys(name.lower().removeprefix(".") for name in names_in(names)))
    for each in asked:
        if each not in FORMATS:
            raise UnknownNameError(f"--format takes {', '.join(FORMATS)}, with commas between, but got {each!r}.")
        check_extra(f".{each}")
    if not asked:
        raise UnknownNameError(f"--format takes {', '.join(FORMATS)}, with commas between, but got nothing.")
    return asked


def _read(notes: Path | None) -> list[str]:
    from keras_prunelab._errors import InvalidDataError

    if notes is None:
        return []
    try:
        return [notes.read_text(encoding="utf-8-sig")]
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"--notes is a text file in UTF-8, but {str(notes)!r} is none: {error}.") from error
