"""Gradients, compiled functions and variables on any backend: the only package that knows the backends."""

from ._building import stop_waiting, when_built
from ._gradients import Gradients, gradients, hessian_products
from ._imports import import_keras, keras
from ._litert import constants_in_litert, to_litert
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
    "Gradients",
    "Operation",
    "Recording",
    "at_rest",
    "attends_in_one_width",
    "compile_forward",
    "compile_step",
    "compile_writes",
    "compiles_for_each_length",
    "constants_in_litert",
    "creation_scope",
    "gradients",
    "hessian_products",
    "import_keras",
    "in_one_pass",
    "keras",
    "map_in_step",
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
