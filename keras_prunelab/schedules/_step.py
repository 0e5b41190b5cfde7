"""A moment of training: so many optimizer steps, or so many epochs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from keras_prunelab._errors import InvalidScheduleError
from keras_prunelab._model._numbers import whole_number

StepLike: TypeAlias = "int | str | Step"

_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ep)?")


@dataclass(frozen=True)
class Step:
    """A moment of training, or a length of it, counted in optimizer steps or in epochs.

    Args:
        text: `1000` or `"1000"` for optimizer steps, `"2ep"` or `"0.5ep"` for epochs.

    Attributes:
        count: how many, not negative.
        unit: `"steps"` or `"epochs"`.

    Raises:
        InvalidScheduleError: the text is none of these.

    Examples:
        >>> from keras_prunelab.schedules import Step
        >>> Step("2ep").steps(steps_per_epoch=50)
        100
    """

    count: float
    unit: str

    def __init__(self, text: StepLike) -> None:
        if isinstance(text, Step):
            count, unit = text.count, text.unit
        else:
            number = whole_number(text)
            match = _TEXT.fullmatch(str(text if number is None else number).strip())
            whole = match is not None and (match[2] is not None or float(match[1]).is_integer())
            if match is None or not whole:
                raise InvalidScheduleError(
                    f"{text!r} is no moment of training; write 1000 or '1000' for optimizer steps, or '2ep' for epochs."
                )
            count, unit = float(match[1]), "epochs" if match[2] else "steps"
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "unit", unit)

    def steps(self, steps_per_epoch: float | None = None) -> int:
        """Count it in optimizer steps.

        Args:
            steps_per_epoch: optimizer steps of one epoch, where they are known.

        Returns:
            The number of optimizer steps, a fraction rounded up.

        Raises:
            InvalidScheduleError: it counts epochs, and their length is not known.
        """
        if self.unit == "steps":
            return int(self.count)
        if steps_per_epoch is None:
            raise InvalidScheduleError(
                f"{str(self)!r} counts epochs, but how many steps an epoch has is not known. Give fit "
                "steps_per_epoch=, or write the schedule in steps."
            )
        # 0.1 ep of 30 steps is 3.0000000000000004 in binary, but 3 to its writer.
        return math.ceil(round(self.count * steps_per_epoch, 6))

    def __str__(self) -> str:
        return f"{self.count:g}ep" if self.unit == "epochs" else str(int(self.count))

    def __repr__(self) -> str:
        return f"Step({str(self)!r})"
