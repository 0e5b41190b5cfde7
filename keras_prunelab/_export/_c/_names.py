"""Names of layers as identifiers of C, and texts as strings of C."""

from __future__ import annotations

import re

from keras_prunelab._errors import InvalidModelError

_OF_C = (
    *("auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern"),
    *("float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed"),
    *("sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"),
)
_OF_CPP = (  # for those who read the header there
    *("bool", "catch", "class", "delete", "false", "friend", "namespace", "new", "operator", "private", "protected"),
    *("public", "template", "this", "throw", "true", "try", "using", "virtual"),
)
_OF_OTHERS = (  # later standards, and what compilers take beyond them unless they are told -std=c99
    *("alignas", "alignof", "and", "asm", "bitand", "bitor", "compl", "constexpr", "decltype", "explicit", "export"),
    *("far", "linux", "mutable", "near", "not", "nullptr", "or", "static_assert", "thread_local", "typeid", "typename"),
    *("typeof", "unix", "xor"),
)
_TYPES = (
    *("int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t", "uint64_t"),
    *("ptrdiff_t", "size_t", "wchar_t"),
)
_USED = (  # by the functions of a network
    *("arena", "state", "input", "output", "step", "memcpy", "memset", "memmove", "main", "add_product"),
    *(
        "sum",
        "product",
        "expf",
        "expm1f",
        "tanhf",
        "erff",
        "log1pf",
        "fabsf",
        "floorf",
        "stream",
        "largest",
        "difference",
    ),
)
_PARTS = (
    *("candidate", "exact", "gates", "hidden", "kernel", "memory", "past", "patch", "recurrent", "recurrent_candidate"),
    *("recurrent_gates", "reset", "scales", "step", "sums"),
)
_KEYWORDS = frozenset((*_OF_C, *_OF_CPP, *_OF_OTHERS, *_TYPES, *_USED))


def identifier(stem: str) -> str:
    """The name of a file as what names in C begin with."""
    found = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_") or "net"
    return found if found[0].isalpha() and found not in _KEYWORDS else f"net_{found}"


class Names:
    """Identifiers, each given once."""

    def __init__(self) -> None:
        """Begin with what C and the headers take."""
        self._taken = set(_KEYWORDS)

    def new(self, text: str) -> str:
        """An identifier that looks like a text."""
        stem = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower() or "layer"
        stem = f"layer_{stem}" if stem[0].isdigit() or stem.startswith("net_") else stem
        found, number = stem, 1
        while not self._taken.isdisjoint(_with_parts(found)):
            number += 1
            found = f"{stem}_{number}"
        self._taken.update(_with_parts(found))
        return found


def _with_parts(name: str) -> list[str]:
    """A name, and what the constants and the memory of its operation are called."""
    return [name, *(f"{name}_{part}" for part in _PARTS)]


def checked_prefix(name: object, source: str) -> str:
    """Make sure that names in C can begin with a text.

    Raises:
        InvalidModelError: they cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in _KEYWORDS:
        raise InvalidModelError(
            f"{source}={name!r}: functions in C cannot be called so. Give name=, letters, digits and underscores that "
            "begin with a letter and are no keyword, such as name='net'."
        )
    return name


def string(text: str) -> str:
    """A text as a string of C, in ASCII."""
    parts = []
    for byte in text.encode("utf-8"):
        character = chr(byte)
        # Octal, of three digits: hexadecimal would go on with the digits behind it. ?? begins a trigraph.
        parts.append(character if 32 <= byte < 127 and character not in '"\\?' else f"\\{byte:03o}")
    text = "".join(parts)
    # The beginnings of names in C are replaced, and this is none.
    return '"' + text.replace("net_", "\\156et_").replace("NET_", "\\116ET_") + '"'


def comment(text: str) -> str:
    """A text that stays inside a comment of C, in ASCII and on one line."""
    plain = text.encode("ascii", "backslashreplace").decode("ascii").replace("*/", "* /").replace("/*", "/ *")
    return " ".join("".join(each if each.isprintable() else " " for each in plain).replace("\\", "/").split())
