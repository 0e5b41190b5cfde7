"""Sparsities as a person types them: `0.5`, `0:0.9:0.1`, or several with commas between."""

from __future__ import annotations

from keras_prunelab._errors import InvalidSparsityError

DEFAULT_LEVELS = "0:0.8:0.02,0.8:0.98:0.002"
"""The levels of MathWorks' example (0 to 90 % in steps of 10), and finer ones where an over-sized network breaks."""


def levels_in(text: str) -> tuple[float, ...] | str:
    """The levels that `text` describes, as `parse_levels` says; or `"auto"`."""
    return "auto" if text.strip() == "auto" else parse_levels(text)


def parse_levels(text: str) -> tuple[float, ...]:
    """The levels that `text` describes, sorted, each once.

    A range is `start:stop:step`; MATLAB's `start:step:stop` is understood as well. There is no clash: a step is never
    longer than the range, so at most one reading makes sense. A range holds its end if the steps meet it.

    Args:
        text: numbers and ranges, separated by commas, such as `"0.5,0.8:0.98:0.002"`.

    Raises:
        InvalidSparsityError: if a part is no number and no range, or a level is outside [0, 1).
    """
    levels = {level for part in text.split(",") for level in _part(part.strip(), text)}
    outside = sorted(level for level in levels if not 0 <= level < 1)
    if outside:
        hint = " Write fractions: 80 % is 0.8." if max(outside) > 1 else ""
        raise InvalidSparsityError(
            f"A sparsity is a fraction from 0 to below 1, but got {outside[0]:g} in {text!r}.{hint}"
        )
    return tuple(sorted(levels))


def _part(part: str, text: str) -> tuple[float, ...]:
    try:
        numbers = [float(number) for number in part.split(":")]
    except ValueError:
        numbers = []
    match numbers:
        case [level]:
            return (level,)
        case [start, stop, step] if 0 < step <= stop - start:
            return _range(start, stop, step)
        case [start, step, stop] if 0 < step <= stop - start:
            return _range(start, stop, step)
        case _:
            raise InvalidSparsityError(
                f"{part!r} in {text!r} is neither a number nor a range: write 0.9, or start:stop:step "
                "such as 0.8:0.98:0.002."
            )


def _range(start: float, stop: float, step: float) -> tuple[float, ...]:
    # A little slack, or floating point would miss the end; rounding makes 0.8 + 3 * 0.002 the number 0.806.
    count = int((stop - start) / step + 1e-6) + 1
    return tuple(round(start + index * step, 10) for index in range(count))
