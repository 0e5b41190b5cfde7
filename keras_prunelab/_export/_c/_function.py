"""One function of a header: `net_run`, or `net_step`."""

from __future__ import annotations

from dataclasses import dataclass

from ._arena import share
from ._body import Body, Kept, size_of
from ._code import Code
from ._content import named
from ._network import Network
from ._value import Value


@dataclass(frozen=True)
class Function:
    """A function of C.

    Attributes:
        owner: `"arena"` or `"state"`: the argument that has its memory.
        body: its statements.
        inputs: names of arguments, and the values that they hold.
        outputs: the same.
        locals: declarations at its beginning.
        scratch: how many elements of each type its working memory has.
    """

    owner: str
    body: Body
    inputs: tuple[tuple[str, Value], ...]
    outputs: tuple[tuple[str, Value], ...]
    locals: list[str]
    scratch: dict[str, int]

    @property
    def kept(self) -> list[Kept]:
        """What a stream keeps."""
        return self.body.kept

    @property
    def memory(self) -> dict[str, int]:
        """How many elements of each type its arena or state has; C knows no empty ones."""
        lengths = dict(self.scratch)
        for each in self.kept:
            lengths[each.type] = lengths.get(each.type, 0) + each.count
        return lengths or {self.body.value_type: 1}

    @property
    def nbytes(self) -> int:
        """Bytes of its arena or state."""
        return size_of(self.memory)

    @property
    def prototype(self) -> str:
        """Its head."""
        name = {"arena": "net_run", "state": "net_step"}[self.owner]
        type_ = self.body.value_type
        given = [f"net_{self.owner} *{self.owner}"]
        given += [f"const {type_} {name}[{value.size}]" for name, value in self.inputs]
        given += [f"{type_} {name}[{value.size}]" for name, value in self.outputs]
        return f"void {name}({', '.join(given)})"

    @property
    def definition(self) -> str:
        """All of it."""
        statements = "\n".join(self.body.lines)
        lines = [self.prototype, "{", *self.locals]
        if self.owner not in statements and not self.locals:
            lines.append(f"    (void){self.owner};")
        return "\n".join([*lines, *([""] if self.locals else []), statements, "}"])


def function_of(network: Network, code: Code, owner: str) -> Function:
    """Write the function of a network.

    Args:
        network: the whole, or one step.
        code: takes the constants.
        owner: `"arena"` for the whole, `"state"` for one step.
    """
    inputs, outputs = named(network.inputs, "input"), named(network.outputs, "output")
    places = share(
        network.operations,
        {value.name: name for name, value in inputs},
        {value.name: name for name, value in outputs},
        code.value_type,
    )
    body = Body(code, places, is_step=owner == "state")
    body.write(network.operations)
    lines, scratch = body.memory(owner)
    return Function(owner, body, inputs, outputs, lines, scratch)
