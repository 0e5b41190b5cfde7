"""What a header declares: sizes, scales, memory and functions."""

from __future__ import annotations

from ._activations import literal
from ._body import in_order, member, size_of
from ._content import Content, named
from ._function import Function


def declarations(content: Content, run: Function | None, step: Function | None) -> str:
    """Write them.

    Args:
        content: of the header.
        run: the function of the whole network, where there is one.
        step: that of one step, where there is one.
    """
    found = ['#ifdef __cplusplus\nextern "C" {\n#endif', _sizes(run, step)]
    if content.dtype == "int8":
        found.append(_scales(content))
    if content.class_names:
        found.append(
            "/* The names of the classes, in the order of the outputs. */\n"
            f"#define NET_CLASSES {len(content.class_names)}\n"
            "extern const char *const net_class_names[NET_CLASSES];"
        )
    if run is not None:
        members = "\n".join(f"    {type_} {member(type_)}[{n}];" for type_, n in in_order(run.memory))
        found.append(
            "/* Working memory for one call; what it holds means nothing between calls. */\n"
            f"typedef struct {{\n{members}\n}} net_arena;\n\n"
            "/* From one observation to the outputs; none of the arrays may overlap. */\n"
            f"{run.prototype};"
        )
    if step is not None:
        found.append(
            "/* A stream: what the network keeps from step to step. Each stream has one of its own. */\n"
            f"typedef struct {{\n{_members(step)}\n}} net_state;\n\n"
            "/* Before the first step of a sequence. */\nvoid net_reset(net_state *state);\n\n"
            "/* From one step of a sequence to the outputs at this step. */\n"
            f"{step.prototype};"
        )
    found.append("#ifdef __cplusplus\n}\n#endif")
    return "\n\n".join(found)


def _sizes(run: Function | None, step: Function | None) -> str:
    lines = []
    for function, prefix in ((run, ""), (step, "STEP_")):
        if function is not None:
            values = (*function.inputs, *function.outputs)
            lines += [f"#define NET_{prefix}{name.upper()}_SIZE {value.size}" for name, value in values]
    lines += [f"#define NET_ARENA_BYTES {run.nbytes}"] if run else []
    lines += [f"#define NET_STATE_BYTES {step.nbytes}"] if step else []
    return "\n".join(lines)


def _members(step: Function) -> str:
    """The members of a stream: what it keeps, and behind it the working memory of the same type."""
    kept = sorted(step.kept, key=lambda each: -size_of({each.type: 1}))
    lines = []
    for type_, _ in in_order(step.memory):
        lines += [f"    {type_} {each.name}[{each.count}];" for each in kept if each.type == type_]
        if scratch := step.scratch.get(type_, 0):
            lines.append(f"    {type_} {member(type_)}[{scratch}]; /* working memory */")
    return "\n".join(lines)


def _scales(content: Content) -> str:
    """How numbers become 8-bit ones and back."""
    network, lines = content.network, ["/* An 8-bit number q stands for SCALE * (q - ZERO_POINT). */"]
    functions = []
    for name, value in (*named(network.inputs, "input"), *named(network.outputs, "output")):
        scale, upper = content.scales[value.name], name.upper()
        lines.append(f"#define NET_{upper}_SCALE {literal(scale.factor)}")
        lines.append(f"#define NET_{upper}_ZERO_POINT {scale.zero_point}")
    for name, _ in named(network.inputs, "input"):
        upper = name.upper()
        functions.append(
            f"static inline int8_t net_quantize_{name}(float x)\n{{\n"
            f"    const float q = floorf(x / NET_{upper}_SCALE + 0.5f) + NET_{upper}_ZERO_POINT;\n"
            "    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);\n}"
        )
    for name, _ in named(network.outputs, "output"):
        upper = name.upper()
        functions.append(
            f"static inline float net_dequantize_{name}(int8_t q)\n{{\n"
            f"    return NET_{upper}_SCALE * (float)(q - NET_{upper}_ZERO_POINT);\n}}"
        )
    return "\n".join(lines) + "\n\n" + "\n\n".join(functions)
