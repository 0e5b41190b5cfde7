"""How a header checks itself: a test with one observation, and a program that runs it."""

from __future__ import annotations

from ._code import C_TYPES, numbers
from ._content import Content
from ._function import Function


def self_test(content: Content, run: Function | None, step: Function | None) -> str:
    """Write `net_test`, which compares one observation with what Keras gives for it.

    Args:
        content: of the header.
        run: the function of the whole network, where there is one.
        step: that of one step, where there is one.
    """
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


def _whole_check(content: Content, run: Function) -> str:
    lines = ["    {", "        static net_arena arena;"]
    lines += [f"        static {content.value_type} {name}[{value.size}];" for name, value in run.outputs]
    arguments = [*(f"net_test_{name}" for name, _ in run.inputs), *(name for name, _ in run.outputs)]
    lines.append(f"        net_run(&arena, {', '.join(arguments)});")
    for name, value in run.outputs:
        lines += _differences(content, name, str(value.size), "i", "        ")
    return "\n".join([*lines, "    }"])


def _step_check(content: Content, step: Function) -> str:
    count = content.test_inputs[0].size // step.inputs[0][1].size
    lines = ["    {", "        static net_state stream;"]
    lines += [f"        static {content.value_type} {name}[{value.size}];" for name, value in step.outputs]
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


def program(content: Content, run: Function | None) -> str:
    """Write `main`, which runs the test and prints the outputs of its observation."""
    lines = ["#ifdef NET_MAIN", "#include <stdio.h>", "", "int main(void)", "{"]
    lines.append('    printf("largest difference from Keras: %g\\n", (double)net_test());')
    if run is not None and len(run.outputs) == 1:
        ((name, value),) = run.outputs
        arguments = [*(f"net_test_{each}" for each, _ in run.inputs), name]
        shown = f"net_dequantize_{name}({name}[i])" if content.dtype == "int8" else f"{name}[i]"
        lines += [f"    static net_arena arena;\n    static {content.value_type} {name}[{value.size}];"]
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
