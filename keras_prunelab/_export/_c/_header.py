"""The text of a header: what it declares, and, where it is asked for, constants, kernels, functions, a test, a main."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ._activations import literal
from ._arena import Places, share
from ._body import Body, Kept, fill, in_order, member, size_of
from ._code import C_TYPES, Code, numbers
from ._library import kernels, with_needed
from ._names import comment, string
from ._network import Network
from ._scale import Range, Scale
from ._value import Value

_HEADERS = ("math.h", "stddef.h", "stdint.h", "string.h")


@dataclass(frozen=True)
class Content:
    """What a header is made from.

    Attributes:
        name: what the names in C begin with.
        title: the name of the model.
        dtype: `"float32"` or `"int8"`.
        optimize: `"size"` or `"speed"`.
        whole: the network; None where it leaves lengths free.
        step: the network for one step of a stream; None where it is no such network.
        class_names: of the outputs; empty for none.
        scales: of each value, by its name; empty for float32.
        internals: the ranges inside of operations, by their names; empty for float32.
        test_inputs: one observation.
        test_outputs: what the model gives for it.
    """

    name: str
    title: str
    dtype: str
    optimize: str
    whole: Network | None
    step: Network | None
    class_names: tuple[str, ...]
    test_inputs: tuple[NDArray[Any], ...]
    test_outputs: tuple[NDArray[Any], ...]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    internals: Mapping[str, Mapping[str, Range]] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The network, whole or for one step."""
        found = self.whole or self.step
        assert found is not None, "one of them there is"  # noqa: S101
        return found


@dataclass(frozen=True)
class Written:
    """The text, and figures of it.

    Attributes:
        text: the header.
        constant_bytes: of weights, places, biases and tables.
        dense_bytes: the same with every matrix stored whole.
        arena_bytes: that one call needs.
        state_bytes: of a stream.
        forms: how each matrix is stored, by the name of its constants.
    """

    text: str
    constant_bytes: int
    dense_bytes: int
    arena_bytes: int
    state_bytes: int
    forms: Mapping[str, str]


@dataclass(frozen=True)
class _Function:
    """A function of the network."""

    body: Body
    inputs: tuple[tuple[str, Value], ...]
    outputs: tuple[tuple[str, Value], ...]
    locals: list[str]
    lengths: dict[str, int]

    @property
    def kept(self) -> list[Kept]:
        """What a stream keeps."""
        return self.body.kept

    def parameters(self, type_: str) -> str:
        """The arguments behind the first."""
        given = [f"const {type_} {name}[{value.size}]" for name, value in self.inputs]
        return ", ".join([*given, *(f"{type_} {name}[{value.size}]" for name, value in self.outputs)])


def header(content: Content) -> Written:
    """Write the header of a network."""
    code = Code(content.dtype, content.optimize, content.scales, content.internals)
    code.kernel("types")
    run = None if content.whole is None else _function(content.whole, code, is_step=False)
    step = None if content.step is None else _function(content.step, code, is_step=True)
    arena = 0 if run is None else size_of(_at_least_one(run.lengths, code))
    state = 0 if step is None else size_of(_with_kept(step))
    forms = {name: form.form for name, form in code.matrices.items()}
    sections = [
        _banner(content, code, arena, state),
        _declarations(content, code, run, step, arena, state),
        _implementation(content, code, run, step),
        _test(content, run, step),
        _main(content, run),
        "#endif /* NET_H */",
    ]
    text = "\n\n".join(sections) + "\n"
    text = re.sub(r"\bNET_", f"{content.name.upper()}_", text)
    text = re.sub(r"\bnet_", f"{content.name}_", text)
    return Written(text, code.total_bytes(), code.dense_bytes(), arena, state, forms)


def _function(network: Network, code: Code, *, is_step: bool) -> _Function:
    type_ = "int8_t" if code.is_int8 else "float"
    inputs = _named(network.inputs, "input")
    outputs = _named(network.outputs, "output")
    places: Places = share(
        network.operations,
        {value.name: name for name, value in inputs},
        {value.name: name for name, value in outputs},
        type_,
    )
    body = Body(code, places, is_step)
    body.write(network.operations)
    lines, lengths = body.memory("state" if is_step else "arena")
    return _Function(body, inputs, outputs, lines, lengths)


def _named(values: Sequence[Value], single: str) -> tuple[tuple[str, Value], ...]:
    if len(values) == 1:
        return ((single, values[0]),)
    return tuple((f"{single}_{value.name}", value) for value in values)


def _at_least_one(lengths: dict[str, int], code: Code) -> dict[str, int]:
    return lengths or {"int8_t" if code.is_int8 else "float": 1}


def _with_kept(step: _Function) -> dict[str, int]:
    lengths = dict(step.lengths)
    for each in step.kept:
        lengths[each.type] = lengths.get(each.type, 0) + each.count
    return lengths


def _banner(content: Content, code: Code, arena: int, state: int) -> str:
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
        + (f"; {arena:,} bytes of working memory (net_arena)" if arena else "")
        + (f"; {state:,} bytes for each stream (net_state)" if state else ""),
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


def _declarations(
    content: Content, code: Code, run: _Function | None, step: _Function | None, arena: int, state: int
) -> str:
    type_ = "int8_t" if code.is_int8 else "float"
    found = ['#ifdef __cplusplus\nextern "C" {\n#endif']
    sizes = []
    for function, prefix in ((run, ""), (step, "STEP_")):
        if function is not None:
            values = (*function.inputs, *function.outputs)
            sizes += [f"#define NET_{prefix}{name.upper()}_SIZE {value.size}" for name, value in values]
    sizes += [f"#define NET_ARENA_BYTES {arena}"] if run else []
    sizes += [f"#define NET_STATE_BYTES {state}"] if step else []
    found.append("\n".join(sizes))
    if code.is_int8:
        found.append(_scales(content))
    if content.class_names:
        count = len(content.class_names)
        found.append(
            f"/* The names of the classes, in the order of the outputs. */\n#define NET_CLASSES {count}\n"
            "extern const char *const net_class_names[NET_CLASSES];"
        )
    if run is not None:
        members = "\n".join(
            f"    {each} {member(each)}[{n}];" for each, n in in_order(_at_least_one(run.lengths, code))
        )
        found.append(
            "/* Working memory for one call; what it holds means nothing between calls. */\n"
            f"typedef struct {{\n{members}\n}} net_arena;\n\n"
            f"/* From one observation to the outputs; none of the arrays may overlap. */\n"
            f"void net_run(net_arena *arena, {run.parameters(type_)});"
        )
    if step is not None:
        kept = sorted(step.kept, key=lambda each: -size_of({each.type: 1}))
        groups: list[str] = []
        for each, length in in_order(_with_kept(step)):
            groups += [f"    {each} {one.name}[{one.count}];" for one in kept if one.type == each]
            scratch = step.lengths.get(each, 0)
            groups += [f"    {each} {member(each)}[{scratch}]; /* working memory */"] if scratch else []
            del length
        members = "\n".join(groups)
        found.append(
            "/* A stream: what the network keeps from step to step. Each stream has one of its own. */\n"
            f"typedef struct {{\n{members}\n}} net_state;\n\n"
            "/* Before the first step of a sequence. */\nvoid net_reset(net_state *state);\n\n"
            "/* From one step of a sequence to the outputs at this step. */\n"
            f"void net_step(net_state *state, {step.parameters(type_)});"
        )
    found.append("#ifdef __cplusplus\n}\n#endif")
    return "\n\n".join(found)


def _scales(content: Content) -> str:
    """How numbers become 8-bit ones and back."""
    network, lines = content.network, ["/* An 8-bit number q stands for SCALE * (q - ZERO_POINT). */"]
    functions = []
    for name, value in (*_named(network.inputs, "input"), *_named(network.outputs, "output")):
        scale, upper = content.scales[value.name], name.upper()
        lines.append(f"#define NET_{upper}_SCALE {literal(scale.factor)}")
        lines.append(f"#define NET_{upper}_ZERO_POINT {scale.zero_point}")
    for name, _ in _named(network.inputs, "input"):
        upper = name.upper()
        functions.append(
            f"static inline int8_t net_quantize_{name}(float x)\n{{\n"
            f"    const float q = floorf(x / NET_{upper}_SCALE + 0.5f) + NET_{upper}_ZERO_POINT;\n"
            "    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);\n}"
        )
    for name, _ in _named(network.outputs, "output"):
        upper = name.upper()
        functions.append(
            f"static inline float net_dequantize_{name}(int8_t q)\n{{\n"
            f"    return NET_{upper}_SCALE * (float)(q - NET_{upper}_ZERO_POINT);\n}}"
        )
    return "\n".join(lines) + "\n\n" + "\n\n".join(functions)


def _implementation(content: Content, code: Code, run: _Function | None, step: _Function | None) -> str:
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
    type_ = "int8_t" if code.is_int8 else "float"
    if run is not None:
        parts.append(
            "/* Stops the compiler where NET_ARENA_BYTES is not what the arena takes. */\n"
            "typedef char net_arena_is_as_stated[sizeof(net_arena) == NET_ARENA_BYTES ? 1 : -1];"
        )
        parts.append(_definition("net_run(net_arena *arena", run, type_, "arena"))
    if step is not None:
        parts.append("typedef char net_state_is_as_stated[sizeof(net_state) == NET_STATE_BYTES ? 1 : -1];")
        fills = "\n".join(
            f"    {fill(f'state->{each.name}', each.type, each.count, each.initial)}" for each in step.kept
        )
        parts.append(f"void net_reset(net_state *state)\n{{\n{fills}\n}}")
        parts.append(_definition("net_step(net_state *state", step, type_, "state"))
    parts.append("#endif /* NET_IMPLEMENTATION */")
    return "\n\n".join(parts)


def _rule(title: str) -> str:
    return f"/* {title} {'-' * (110 - len(title))} */"


def _definition(start: str, function: _Function, type_: str, owner: str) -> str:
    statements = "\n".join(function.body.lines)
    lines = [f"void {start}, {function.parameters(type_)})", "{", *function.locals]
    if owner not in statements and not function.locals:
        lines.append(f"    (void){owner};")
    return "\n".join([*lines, *([""] if function.locals else []), statements, "}"])


def _test(content: Content, run: _Function | None, step: _Function | None) -> str:
    function = run or step
    assert function is not None, "there is one"  # noqa: S101
    parts = ["#if defined(NET_MAIN) && !defined(NET_TEST)\n#define NET_TEST\n#endif", "#ifdef NET_TEST"]
    parts.append("/* One observation, and what Keras gives for it. */")
    for named, arrays in ((function.inputs, content.test_inputs), (function.outputs, content.test_outputs)):
        for (name, _), array in zip(named, arrays, strict=True):
            type_ = C_TYPES[str(array.dtype)]
            parts.append(f"static const {type_} net_test_{name}[{array.size}] = {{\n{numbers(array)}}};")
    checks = []
    if run is not None:
        checks.append(_whole_check(content, run))
    if step is not None:
        checks.append(_step_check(content, step))
    body = "\n".join(checks)
    parts.append(
        "/* The largest difference from Keras. */\nstatic float net_test(void)\n{\n    float largest = 0;\n"
        f"{body}\n    return largest;\n}}"
    )
    parts.append("#endif /* NET_TEST */")
    return "\n\n".join(parts)


def _whole_check(content: Content, run: _Function) -> str:
    type_ = "int8_t" if content.dtype == "int8" else "float"
    lines = ["    {", "        static net_arena arena;"]
    lines += [f"        static {type_} {name}[{value.size}];" for name, value in run.outputs]
    arguments = [*(f"net_test_{name}" for name, _ in run.inputs), *(name for name, _ in run.outputs)]
    lines.append(f"        net_run(&arena, {', '.join(arguments)});")
    for name, value in run.outputs:
        lines += _differences(content, name, str(value.size), "i", "        ")
    return "\n".join([*lines, "    }"])


def _step_check(content: Content, step: _Function) -> str:
    type_ = "int8_t" if content.dtype == "int8" else "float"
    count = content.test_inputs[0].size // step.inputs[0][1].size
    lines = ["    {", "        static net_state stream;"]
    lines += [f"        static {type_} {name}[{value.size}];" for name, value in step.outputs]
    given = [f"net_test_{name} + step * {value.size}" for name, value in step.inputs]
    lines += ["        net_reset(&stream);", f"        for (int step = 0; step < {count}; ++step) {{"]
    lines.append(f"            net_step(&stream, {', '.join([*given, *(name for name, _ in step.outputs)])});")
    after = []
    for (name, value), array in zip(step.outputs, content.test_outputs, strict=True):
        if array.size == value.size:
            after += _differences(content, name, str(value.size), "i", "        ")
        else:
            lines += _differences(content, name, str(value.size), f"step * {value.size} + i", "            ")
    return "\n".join([*lines, "        }", *after, "    }"])


def _differences(content: Content, name: str, size: str, place: str, indent: str) -> list[str]:
    value = f"net_dequantize_{name}({name}[i])" if content.dtype == "int8" else f"{name}[i]"
    return [
        f"{indent}for (int i = 0; i < {size}; ++i) {{",
        f"{indent}    const float difference = fabsf({value} - net_test_{name}[{place}]);",
        f"{indent}    largest = difference > largest ? difference : largest;",
        f"{indent}}}",
    ]


def _main(content: Content, run: _Function | None) -> str:
    lines = ["#ifdef NET_MAIN", "#include <stdio.h>", "", "int main(void)", "{"]
    lines.append('    printf("largest difference from Keras: %g\\n", (double)net_test());')
    if run is not None and len(run.outputs) == 1:
        type_ = "int8_t" if content.dtype == "int8" else "float"
        ((name, value),) = run.outputs
        arguments = [*(f"net_test_{each}" for each, _ in run.inputs), name]
        shown = f"net_dequantize_{name}({name}[i])" if content.dtype == "int8" else f"{name}[i]"
        lines += [f"    static net_arena arena;\n    static {type_} {name}[{value.size}];"]
        lines += [f"    net_run(&arena, {', '.join(arguments)});"]
        lines += [f"    for (int i = 0; i < {min(value.size, 20)}; ++i) {{"]
        if content.class_names:
            place = "i" if value.size == len(content.class_names) else "i % NET_CLASSES"
            lines.append(f'        printf("%-20s %g\\n", net_class_names[{place}], (double){shown});')
        else:
            lines.append(f'        printf("output %d: %g\\n", i, (double){shown});')
        lines.append("    }")
    lines += ["    return 0;", "}", "#endif /* NET_MAIN */"]
    return "\n".join(lines)
