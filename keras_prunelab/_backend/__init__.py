"""Gradients, compiled functions and variables on any backend: the only package that knows the backends."""

from ._building import stop_waiting, when_built
from ._converter import Conversion, ConversionError, converter_of
from ._fake_quantize import fake_quantize
from ._gradients import Gradients, gradients, hessian_products
from ._imports import import_keras, keras
from ._litert import constant_values, has_empty_sparse, has_sparse_loops, open_litert, to_litert
from ._litert_child import input_name as litert_input_name
from ._litert_child import problem_of as litert_problem
from ._recording import Operation, Recording, record, torch_module
from ._steps import (
    attends_in_one_width,
    compile_forward,
    compile_step,
    compiles_for_each_length,
    pieces_at_once,
    run_test_step,
    steps_are_pure,
    trace_model,
    trace_once,
    wait_for,
)
from ._training import at_rest, compile_writes, creation_scope, in_one_pass, map_in_step, optimizer_class
from ._variables import protect, read

__all__ = [
    "Conversion",
    "ConversionError",
    "Gradients",
    "Operation",
    "Recording",
    "at_rest",
    "attends_in_one_width",
    "compile_forward",
    "compile_step",
    "compile_writes",
    "compiles_for_each_length",
    "constant_values",
    "converter_of",
    "creation_scope",
    "fake_quantize",
    "gradients",
    "has_empty_sparse",
    "has_sparse_loops",
    "hessian_products",
    "import_keras",
    "in_one_pass",
    "keras",
    "litert_input_name",
    "litert_problem",
    "map_in_step",
    "open_litert",
    "optimizer_class",
    "pieces_at_once",
    "protect",
    "read",
    "record",
    "run_test_step",
    "steps_are_pure",
    "stop_waiting",
    "to_litert",
    "torch_module",
    "trace_model",
    "trace_once",
    "wait_for",
    "when_built",
]
