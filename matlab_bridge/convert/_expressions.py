"""Anonymous functions of MATLAB as trees: a tokenizer and a parser for one-line arithmetic, which run nothing.

    function   = "@" "(" name {"," name} ")" either  |  "@" name
    either     = both {"|" both}
    both       = comparison {"&" comparison}
    comparison = sum {("<" | "<=" | ">" | ">=" | "==" | "~=") sum}
    sum        = product {("+" | "-") product}
    product    = sign {("*" | "/" | ".*" | "./") sign}
    sign       = ("+" | "-" | "~") sign  |  power
    power      = atom {"'" | ".'" | ("^" | ".^") exponent}
    exponent   = ("+" | "-") exponent  |  atom
    atom       = number | name | name "(" arguments ")" | "(" either ")" | "[" rows "]"

The elements of a row are separated by commas, or by blanks: `[a -b]` has two, and `[a - b]`, `[a-b]` and `[(a -b)]`
have one.

Source: https://www.mathworks.com/help/matlab/matlab_prog/operator-precedence.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

# Nobody writes more into one line; what does is not arithmetic.
_LONGEST = 2000
_DEEPEST = 40

_TOKEN = re.compile(
    r"""(?P<space>\s*)(?:
        (?P<number>(?:\d+(?:\.(?![*/^'])\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z]\w*)
      | (?P<mark>\.[*/^']|[<>=~]=|[-+*/^'()\[\],;<>&|~])
    )""",
    re.VERBOSE,
)

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "~="})


class ExpressionError(ValueError):
    """The text is no arithmetic of the kind that this module reads; the message says where."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter of the function, a variable that it took along, or a constant such as `pi`."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator, or a function, on its operands.

    Attributes:
        name: the operator (`".*"`, `"'"`; a sign is `"+"`, `"-"` or `"~"` on one operand), or the function's name.
        operands: in the order of the text.
        is_call: whether the text has it as a function: `max(x,0)`.
    """

    name: str
    operands: tuple[Node, ...]
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Matrix:
    """`[a, b; c, d]`: rows of elements, which may be matrices; `[]` has no row."""

    rows: tuple[tuple[Node, ...], ...]


Node: TypeAlias = Number | Name | Operation | Matrix


@dataclass(frozen=True, slots=True)
class Function:
    """An anonymous function: the names of its parameters, and what it computes."""

    parameters: tuple[str, ...]
    body: Node


def parse_function(text: str, inputs: int = 1) -> Function:
    """Read the text of a function handle.

    Args:
        text: such as `"@(x)max(x,0)./2"`, or the name of a function, `"@tanh"`.
        inputs: how many arguments a function that is only named gets.

    Returns:
        The function as a tree.

    Raises:
        ExpressionError: for anything that is not in the grammar above.

    Examples:
        >>> parse_function("@(x)2*x").body.operands
        (Number(value=2.0), Name(name='x'))
    """
    if len(text) > _LONGEST:
        raise ExpressionError(f"it has {len(text)} characters, and {_LONGEST} are read")
    if named := re.fullmatch(r"\s*@\s*([A-Za-z]\w*)\s*", text):
        names = tuple(f"in{number}" for number in range(1, inputs + 1))
        return Function(names, Operation(named[1], tuple(map(Name, names)), is_call=True))
    head = re.match(r"\s*@\s*\(\s*([A-Za-z]\w*(?:\s*,\s*[A-Za-z]\w*)*)\s*\)", text)
    if head is None:
        raise ExpressionError("it does not begin with its parameters, as in @(x)")
    parameters = tuple(name.strip() for name in head[1].split(","))
    return Function(parameters, _Parser(text, head.end()).whole())


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    spaced: bool


def _tokens(text: str, start: int) -> list[_Token]:
    tokens = []
    end = len(text.rstrip())
    while start < end:
        match = _TOKEN.match(text, start)
        if match is None:
            raise ExpressionError(f"{text[start:].strip()[:10]!r} is not understood")
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], bool(match["space"])))
        start = match.end()
    return [*tokens, _Token("end", "", False)]


class _Parser:
    """One descent through the tokens of an expression."""

    def __init__(self, text: str, start: int) -> None:
        self._tokens = _tokens(text, start)
        self._at = 0
        self._depth = 0
        self._in_row = False

    def whole(self) -> Node:
        tree = self._either()
        if self._next.kind != "end":
            raise self._unexpected()
        return tree

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *marks: str) -> str:
        """The next token's text if it is one of these marks; else nothing is taken, and it is empty."""
        token = self._next
        if token.kind != "mark" or token.text not in marks:
            return ""
        self._at += 1
        return token.text

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise self._unexpected()

    def _unexpected(self) -> ExpressionError:
        return ExpressionError(f"{self._next.text!r} is not understood" if self._next.text else "it ends too early")

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError(f"it nests more than {_DEEPEST} deep")
        left = self._both()
        while mark := self._take("|"):
            left = Operation(mark, (left, self._both()))
        self._depth -= 1
        return left

    def _both(self) -> Node:
        left = self._comparison()
        while mark := self._take("&"):
            left = Operation(mark, (left, self._comparison()))
        return left

    def _comparison(self) -> Node:
        left = self._sum()
        while mark := self._take(*_COMPARISONS):
            left = Operation(mark, (left, self._sum()))
        return left

    def _sum(self) -> Node:
        left = self._product()
        while self._next.text in ("+", "-") and not self._begins_an_element():
            left = Operation(self._take("+", "-"), (left, self._product()))
        return left

    def _begins_an_element(self) -> bool:
        """Whether a blank before the next token separates two elements of a row."""
        token = self._next
        if not (self._in_row and token.spaced):
            return False
        if token.text in ("+", "-"):
            return not self._tokens[self._at + 1].spaced
        return token.kind in ("number", "name") or token.text in ("(", "[", "~")

    def _product(self) -> Node:
        left = self._sign()
        while mark := self._take("*", "/", ".*", "./"):
            left = Operation(mark, (left, self._sign()))
        return left

    def _sign(self) -> Node:
        signs = []
        while mark := self._take("+", "-", "~"):
            signs.append(mark)
        operand = self._power()
        for mark in reversed(signs):
            operand = Operation(mark, (operand,))
        return operand

    def _power(self) -> Node:
        base = self._atom()
        while True:
            if self._next.text in ("'", ".'") and self._next.spaced:
                raise ExpressionError("it holds text")
            if mark := self._take("'", ".'"):
                base = Operation(mark, (base,))
            elif mark := self._take("^", ".^"):
                signs = []
                while sign := self._take("+", "-"):
                    signs.append(sign)
                exponent = self._atom()
                for sign in reversed(signs):
                    exponent = Operation(sign, (exponent,))
                base = Operation(mark, (base, exponent))
            else:
                return base

    def _atom(self) -> Node:
        token = self._next
        if token.kind in ("number", "name"):
            self._at += 1
            if token.kind == "number":
                return Number(float(token.text))
            if self._begins_an_element() or not self._take("("):
                return Name(token.text)
            return Operation(token.text, self._arguments(), is_call=True)
        if self._take("("):
            inside = self._element()
            self._need(")")
            return inside
        if self._take("["):
            return self._matrix()
        raise self._unexpected()

    def _element(self) -> Node:
        """An operand of its own in parentheses, where blanks separate nothing even inside a row."""
        outside, self._in_row = self._in_row, False
        inside = self._either()
        self._in_row = outside
        return inside

    def _arguments(self) -> tuple[Node, ...]:
        if self._take(")"):
            return ()
        elements = [self._element()]
        while self._take(","):
            elements.append(self._element())
        self._need(")")
        return tuple(elements)

    def _matrix(self) -> Matrix:
        if self._take("]"):
            return Matrix(())
        outside, self._in_row = self._in_row, True
        rows = [[self._either()]]
        while not self._take("]"):
            if self._take(";"):
                rows.append([self._either()])
            elif self._take(",") or self._begins_an_element():
                rows[-1].append(self._either())
            else:
                raise self._unexpected()
        self._in_row = outside
        return Matrix(tuple(map(tuple, rows)))
