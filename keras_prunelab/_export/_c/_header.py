"""The text of a header: what it declares, and, where it is asked for, constants, kernels, functions, a test, a main."""

from __future__ import annotations

import re

from ._body import fill
from ._code import Code
from ._content import Content, Written
from ._declarations import declarations
from ._function import Function, function_of
from ._library import kernels, with_needed
from ._names import comment, string
from ._self_test import program, self_test

_HEADERS = ("math.h", "stddef.h", "stdint.h", "string.h")


def header(content: Content) -> Written:
    """Write the header of a network."""
    code = Code(content.dtype, content.optimize, content.scales, content.internals)
    code.kernel("types")
    run = None if content.whole is None else function_of(content.whole, code, "arena")
    step = None if content.step is None else function_of(content.step, code, "state")
    sections = [
        _banner(content, code, run, step),
        declarations(content, run, step),
        _implementation(content, code, run, step),
        self_test(content, run, step),
        program(content, run),
        "#endif /* NET_H */",
    ]
    text = "\n\n".join(sections) + "\n"
    text = re.sub(r"\bNET_", f"{content.name.upper()}_", text)
    text = re.sub(r"\bnet_", f"{content.name}_", text)
    return Written(
        text,
        code.total_bytes(),
        code.dense_bytes(),
        run.nbytes if run else 0,
        step.nbytes if step else 0,
        {name: form.form for name, form in code.matrices.items()},
    )


def _banner(content: Content, code: Code, run: Function | None, step: Function | None) -> str:
    network = content.network
    lines = [
        f"net.h: the network {comment(content.title)!r} in C99, {content.dtype}",
        "",
        "Written by keras_prunelab.export_c. It allocates nothing, and needs nothing but the standard library and -lm.",
        "",
        "    #define NET_IMPLEMENTATION   in one file of C, before #include; without it the header declares",
        "    #define NET_TEST             adds net_test(), which compares one observation with Keras",
        "    cc -std=c99 -O3 -D NET_MAIN -x c FILE -o net -lm && ./net     runs that test",
        "",
        f"{code.total_bytes():,} bytes of constants"
        + (f"; {run.nbytes:,} bytes of working memory (net_arena)" if run else "")
        + (f"; {step.nbytes:,} bytes for each stream (net_state)" if step else ""),
        "",
        f"    {'layer':<24} {'kind':<20} {'output':<16} weights",
    ]
    for operation in network.operations:
        shape = " x ".join(map(str, operation.output.shape))
        stored = [
            f"{form.kept:,} of {form.rows * form.columns:,} ({form.form})"
            for name, form in code.matrices.items()
            if re.fullmatch(r"(_(kernel|recurrent\w*))?", name.removeprefix(operation.name))
        ]
        lines.append(f"    {operation.name:<24} {operation.kind:<20} {shape:<16} {', '.join(stored)}".rstrip())
    return (
        "/* "
        + "\n   ".join(lines)
        + "\n*/\n#ifndef NET_H\n#define NET_H\n\n"
        + "\n".join(f"#include <{each}>" for each in _HEADERS)
    )


def _implementation(content: Content, code: Code, run: Function | None, step: Function | None) -> str:
    library = kernels(content.dtype)
    needed = with_needed(code.kernels, content.dtype)
    first = [name for name in needed if name == "types"]
    texts = [library[name] for name in first]
    texts += ["\n".join(code.integer_types())] if "matrix" in needed else []
    texts += [library[name] for name in needed if name not in first]
    parts = ["#if defined(NET_MAIN) && !defined(NET_IMPLEMENTATION)\n#define NET_IMPLEMENTATION\n#endif"]
    parts += ["#ifdef NET_IMPLEMENTATION", _rule("Kernels"), *texts]
    parts += list(code.functions.values())
    parts += [_rule("Constants"), *code.constants.values()] if code.constants else []
    parts.append(_rule("The network"))
    if content.class_names:
        names = ",\n".join(f"    {string(each)}" for each in content.class_names)
        parts.append(f"const char *const net_class_names[NET_CLASSES] = {{\n{names}}};")
    if run is not None:
        parts.append(
            "/* Stops the compiler where NET_ARENA_BYTES is not what the arena takes. */\n"
            "typedef char net_arena_is_as_stated[sizeof(net_arena) == NET_ARENA_BYTES ? 1 : -1];"
        )
        parts.append(run.definition)
    if step is not None:
        parts.append("typedef char net_state_is_as_stated[sizeof(net_state) == NET_STATE_BYTES ? 1 : -1];")
        fills = "\n".join(
            f"    {fill(f'state->{each.name}', each.type, each.count, each.initial)}" for each in step.kept
        )
        parts.append(f"void net_reset(net_state *state)\n{{\n{fills}\n}}")
        parts.append(step.definition)
    parts.append("#endif /* NET_IMPLEMENTATION */")
    return "\n\n".join(parts)


def _rule(title: str) -> str:
    return f"/* {title} {'-' * (110 - len(title))} */"
