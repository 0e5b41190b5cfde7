"""Gradients and fast inference on whichever backend Keras runs: the only module that knows the backends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._errors import MissingBackendError

_BACKENDS = ("tensorflow", "jax", "torch")
_WORTH_COMPILING = 1 << 16
"""Weights from which on an optimizer's update is compiled by itself."""


def import_keras() -> Any:
    """Import Keras, which imports its backend.

    Returns:
        The module `keras`.

    Raises:
        MissingBackendError: the backend that Keras is to run on is not installed.
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name not in _BACKENDS:
            raise
        raise _missing(error.name) from None
    except ValueError as error:
        if "Unable to import backend" not in str(error):
            raise
        raise _missing(os.environ.get("KERAS_BACKEND", "")) from None
    return keras


def _missing(name: str) -> MissingBackendError:
    wanted = os.environ.get("KERAS_BACKEND")
    why = ", which the environment variable KERAS_BACKEND asks for," if wanted else ""
    extra = name if name in _BACKENDS else _BACKENDS[0]
    return MissingBackendError(
        f"The backend {name!r}{why} is not installed, or cannot run gradients. Install one:\n"
        f'    pip install "keras-prunelab[{extra}]"\n'
        f"or set KERAS_BACKEND to another of {', '.join(_BACKENDS)} that is installed."
    )


if TYPE_CHECKING:
    import keras as keras  # exported: whoever takes it from here gets the error above
else:
    keras = import_keras()

Gradients = Callable[..., list[NDArray[Any]]]


def gradients(objective: Callable[..., Any], variables: Sequence[Any], states: Sequence[Any] = ()) -> Gradients:
    """Compile the gradient of a scalar with respect to Keras variables, at values given from outside.

    The variables themselves are never written: inside the objective they stand for the given values.

    Args:
        objective: computes a scalar tensor from the variables, and from arguments if there are any, with Keras
            operations.
        variables: the Keras variables; what the scalar does not depend on gets a gradient of zero.
        states: other Keras variables that it depends on and that change between two calls: each call sees their
            values of then. Without this, JAX would see those of the first call ever after.

    Returns:
        A function from one value a variable, and the objective's arguments, to one gradient a variable, NumPy
        arrays all. It compiles once for each set of shapes.

    Raises:
        MissingBackendError: Keras runs on a backend without gradients.

    Examples:
        >>> import keras, numpy as np
        >>> x = keras.Variable(np.float32([1.0, 2.0]))
        >>> slope = gradients(lambda: keras.ops.sum(x * x), [x])
        >>> slope([np.float32([3.0, 4.0])])[0].tolist()
        [6.0, 8.0]
    """
    make = _dispatch(tensorflow=_tensorflow_gradients, jax=_jax_gradients, torch=_torch_gradients)
    return _on_arrays(make(_at(objective, variables, states)), variables, states)


def hessian_products(
    objective: Callable[..., Any], variables: Sequence[Any], states: Sequence[Any] = ()
) -> Callable[..., list[NDArray[Any]]]:
    """Compile products of a scalar's Hessian with vectors, without the Hessian itself.

    Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6(1), 1994.

    Args:
        objective: as for `gradients`.
        variables: as for `gradients`.
        states: as for `gradients`.

    Returns:
        A function from one value a variable, one array of the same shape for each, and the objective's arguments,
        to one array a variable: the Hessian at the values times the vector that the arrays make together.

    Raises:
        MissingBackendError: Keras runs on a backend without gradients.

    Examples:
        >>> import keras, numpy as np
        >>> x = keras.Variable(np.float32([1.0, 2.0]))
        >>> product = hessian_products(lambda: keras.ops.sum(x**3), [x])
        >>> product([np.float32([1.0, 2.0])], [np.float32([1.0, 10.0])])[0].tolist()
        [6.0, 120.0]
    """
    make = _dispatch(tensorflow=_tensorflow_hessian, jax=_jax_hessian, torch=_torch_hessian)
    compiled = _on_arrays(make(_at(objective, variables, states)), variables, states)

    def call(values: Sequence[NDArray[Any]], vectors: Sequence[NDArray[Any]], *arguments: Any) -> list[NDArray[Any]]:
        return compiled(values, _tensors(vectors, variables), *arguments)

    return call


def _at(objective: Callable[..., Any], variables: Sequence[Any], states: Sequence[Any]) -> Callable[[Any, Any], Any]:
    """The objective as a function of values for the variables, and of its arguments and the states' values."""

    def at(values: Sequence[Any], arguments: Sequence[Any]) -> Any:
        *given, current = arguments
        mapping = [*zip(variables, values, strict=True), *zip(states, current, strict=True)]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
            return objective(*given)

    return at


def _on_arrays(compiled: Callable[[Any, Any], Any], variables: Sequence[Any], states: Sequence[Any]) -> Gradients:
    def call(values: Sequence[NDArray[Any]], *arguments: Any) -> list[NDArray[Any]]:
        current = [state.value for state in states]
        given = keras.tree.map_structure(keras.ops.convert_to_tensor, (*arguments, current))
        results = compiled(_tensors(values, variables), given)
        return [np.asarray(keras.ops.convert_to_numpy(result)) for result in results]

    return call


def _tensors(values: Sequence[NDArray[Any]], variables: Sequence[Any]) -> list[Any]:
    return [
        keras.ops.convert_to_tensor(value, dtype=variable.dtype)
        for variable, value in zip(variables, values, strict=True)
    ]


def compiled_forward(model: keras.Model) -> Callable[[Any], Any]:
    """Compile a model's inference.

    Args:
        model: a built model.

    Returns:
        A function from a batch (arrays or tensors) to the model's output tensors in inference mode. It sees
        every later change of the weights, and compiles once for each shape of a batch.

    Raises:
        MissingBackendError: Keras runs on a backend other than TensorFlow, JAX and torch.
    """
    forward: Callable[[Any], Any] = _dispatch(tensorflow=_tensorflow_forward, jax=_jax_forward, torch=_torch_forward)(
        model
    )
    return forward


def compiled_step(
    step: Callable[..., Any], reads: Sequence[Any] = (), writes: Sequence[Any] = ()
) -> Callable[..., Any]:
    """Compile a function of tensors that looks at Keras variables and assigns to some of them.

    Args:
        step: takes tensors (or lists and dictionaries of them, or None), assigns to `writes` as it likes, and returns
            tensors.
        reads: the variables that it looks at, and that change between two calls.
        writes: the variables that it assigns to; what it assigns to others is lost on JAX.

    Returns:
        A function of tensors with any number of observations along their first axes. On TensorFlow it compiles once
        for all of these numbers, on JAX once for each.

    Raises:
        MissingBackendError: Keras runs on a backend other than TensorFlow, JAX and torch.
    """
    backend = keras.config.backend()
    if backend == "tensorflow":
        return _tensorflow_traced(step, any_length=True)
    if backend == "jax":
        return _jax_step(step, reads, writes)
    if backend == "torch":
        return _torch_step(step)
    raise _missing(backend)


def compiles_for_each_length() -> bool:
    """Whether a compiled step is compiled anew for each number of observations, which takes a while."""
    return bool(keras.config.backend() == "jax")


def pieces_at_once() -> int:
    """In how many pieces a batch may be computed faster than as a whole.

    TensorFlow does at once what does not depend on each other, so that no processor waits for the last part of each
    operation; the other backends do one operation after the other.
    """
    return 4 if keras.config.backend() == "tensorflow" else 1


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that a step calls several times, and that TensorFlow then need not trace as often.

    Args:
        function: takes and returns tensors, and assigns to nothing.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    traced: Callable[..., Any] = tf.function(function, autograph=False, reduce_retracing=True)
    return traced


def attends_in_one_width() -> bool:
    """Whether attention takes keys and values of the same width only: Keras has JAX compute it, which asks for that."""
    return bool(keras.config.backend() == "jax")


def run_test_step(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Run a model's own `test_step` inside a step.

    Args:
        model: a compiled model.
        batch: inputs and targets, perhaps with weights.
    """
    if keras.config.backend() != "jax":
        model.test_step(batch)
        return
    groups = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
    _, state = model.test_step(tuple([variable.value for variable in group] for group in groups), batch)
    for variable, value in zip(groups[2], state[2], strict=True):
        variable.assign(value)


def wait_for(tensors: Any) -> None:
    """Wait until tensors have their values: some backends compute behind one's back.

    Args:
        tensors: what a compiled function has returned.
    """
    for tensor in keras.tree.flatten(tensors):
        if hasattr(tensor, "block_until_ready"):
            tensor.block_until_ready()
        elif keras.ops.is_tensor(tensor):
            keras.ops.convert_to_numpy(tensor)


def creation_scope(optimizer: Any) -> contextlib.AbstractContextManager[Any]:
    """Where variables of an optimizer are to be made, so that each replica has them.

    Args:
        optimizer: a Keras optimizer.

    Returns:
        A context manager.
    """
    strategy = getattr(optimizer, "_distribution_strategy", None)  # on TensorFlow only
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def optimizer_class(optimizer: Any) -> type:
    """The class of `keras.optimizers` that an optimizer is of; a user's own class stands for itself.

    Args:
        optimizer: a Keras optimizer, or None.

    Returns:
        The class. On torch Keras makes objects of subclasses of its own, which do the same.
    """
    found = type(optimizer)
    if not found.__module__.startswith("keras.src.backend.torch"):
        return found
    known: type = next(base for base in found.__mro__ if getattr(keras.optimizers, base.__name__, None) is base)
    return known


def read(variable: Any) -> NDArray[Any]:
    """Look at a variable's value.

    Args:
        variable: a Keras variable.

    Returns:
        Its value, not to be written to: without a copy where the backend allows that.
    """
    if keras.config.backend() == "tensorflow" and variable.dtype != "bfloat16":
        return np.asarray(memoryview(_tensorflow_read(variable.value)))
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _tensorflow_read(value: Any) -> Any:
    import tensorflow as tf

    if isinstance(value, tf.distribute.DistributedValues):
        return value.read_value()
    # A third of the time of `read_value`, which counts where masks change at every step.
    return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)


def protected(variable: Any) -> NDArray[Any]:
    """Look at a variable's value where others might write to what they are given.

    Args:
        variable: a Keras variable.

    Returns:
        Its value: a view that cannot be written to, or a copy where the backend has no such views.
    """
    value = read(variable)
    if keras.config.backend() == "torch":  # it warns of arrays that cannot be written to, and shares the others
        return value.copy()
    view = value.view()
    view.flags.writeable = False
    return view


def at_rest(value: Any, mask: Any, rest: float) -> Any:
    """Put a number where a mask is False, whatever stands there, for use outside of a train step.

    Args:
        value: a Keras variable of floating-point numbers.
        mask: booleans of its shape.
        rest: the number.

    Returns:
        A tensor; for zeros +0.0, also for NaN and negative numbers.
    """
    value, mask = keras.ops.convert_to_tensor(value), keras.ops.convert_to_tensor(mask)
    if keras.config.backend() != "tensorflow" or rest:
        return keras.ops.where(mask, value, keras.ops.full_like(value, rest))
    import tensorflow as tf

    tensor = tf.convert_to_tensor(value)
    # By bits, because `where` takes XLA half as long again; in a train step, though, it would not be fused.
    bits = tf.dtypes.as_dtype(f"int{8 * tensor.dtype.size}")
    return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(tensor, bits), -tf.cast(mask, bits)), tensor.dtype)


def compiled_writes(write: Callable[..., None], optimizer: Any) -> Callable[..., None]:
    """Compile a function that assigns to variables of a model and its optimizer, for use between two train steps.

    Args:
        write: assigns tensors made of its arguments to Keras variables.
        optimizer: the optimizer.

    Returns:
        A function of arrays that does the same.
    """
    # Variables with a copy for each replica are written from outside the replicas, without a graph.
    if keras.config.backend() != "tensorflow" or _has_replicas(optimizer):
        return write
    # XLA joins all of it into one pass over memory; on macOS it does not know graphics cards.
    return _tensorflow_traced(write, jit_compile=sys.platform != "darwin")


def in_one_pass(update: Callable[..., None], optimizer: Any, size: int) -> Callable[..., None]:
    """Compile an optimizer's update inside a train step, so that it goes over memory once.

    Without XLA, which makes convolutions slow on CPUs and is off by default there, TensorFlow goes over gradients,
    moments and weights once for each operation of the update, and masks would make it once more.

    Args:
        update: takes the gradients, and assigns to variables of the model and the optimizer; of Keras's own code.
        optimizer: the optimizer.
        size: how many weights are updated.

    Returns:
        A function of gradients that does the same; `update` itself where compiling does not pay, or is not possible.
    """
    if keras.config.backend() != "tensorflow" or size < _WORTH_COMPILING or _has_replicas(optimizer):
        return update
    import tensorflow as tf

    if tf.executing_eagerly() or tf.config.list_logical_devices("GPU"):
        return update
    compiled = tf.function(update, jit_compile=True, autograph=False)

    def run(*grads: Any) -> None:
        # Embeddings have sparse gradients, and a variable that is not used has none.
        (compiled if all(isinstance(grad, tf.Tensor) for grad in grads) else update)(*grads)

    return run


def _has_replicas(optimizer: Any) -> bool:
    strategy = getattr(optimizer, "_distribution_strategy", None)
    return strategy is not None and strategy.num_replicas_in_sync > 1


def map_in_step(function: Callable[[Any, Any], Any], variables: Sequence[Any], argument: Any) -> None:
    """Assign `function(variable, argument)` to variables inside a train step, on each replica.

    Args:
        function: takes and returns tensors.
        variables: Keras variables that only the optimizer writes.
        argument: a Keras variable.
    """
    if variables and keras.config.backend() == "tensorflow":
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.strategy.num_replicas_in_sync > 1:
            # Such variables have no rule to join the values of several replicas, nor do they need one.
            def update(strategy: Any) -> None:
                for variable in variables:
                    strategy.extended.update(
                        variable.value, lambda local, other: local.assign(function(local, other)), (argument.value,)
                    )

            replica.merge_call(update)
            return
    for variable in variables:
        variable.assign(function(variable, argument))


def _dispatch(**makers: Callable[[Any], Callable[..., Any]]) -> Callable[[Any], Callable[..., Any]]:
    backend = keras.config.backend()
    if backend not in makers:
        raise _missing(backend)
    return makers[backend]


def _tensorflow_gradients(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return _tensorflow_traced(lambda values, arguments: _tensorflow_slopes(lambda: at(values, arguments), values))


def _tensorflow_hessian(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def products(values: Any, arguments: Any) -> Any:
        vectors, *rest = arguments

        def along() -> Any:
            slopes = _tensorflow_slopes(lambda: at(values, rest), values)
            return sum(keras.ops.sum(slope * vector) for slope, vector in zip(slopes, vectors, strict=True))

        return _tensorflow_slopes(along, values)

    return _tensorflow_traced(products)


def _tensorflow_slopes(result: Callable[[], Any], values: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        scalar = result()
    found = tape.gradient(scalar, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(slope) for slope in found]  # embeddings have sparse ones


def _tensorflow_traced(
    function: Callable[..., Any], *, jit_compile: bool = False, any_length: bool = False
) -> Callable[..., Any]:
    """Trace a function of tensors once for each set of shapes; without XLA, which makes convolutions slow on CPUs.

    With `any_length` the first axes are left out of the shapes, unless the function cannot do without them.
    """
    import tensorflow as tf

    # Traced by hand, because TensorFlow counts the traces of one line of source and warns at the sixth,
    # though here each belongs to another model.
    traced: dict[tuple[Any, ...], Any] = {}
    is_free = any_length

    def trace(tensors: Any) -> Any:
        nonlocal is_free
        structure = keras.tree.map_structure(lambda _tensor: 0, tensors)

        def on_flat(*flat: Any) -> Any:
            return function(*keras.tree.pack_sequence_as(structure, flat))

        compiled, flat = tf.function(on_flat, autograph=False, jit_compile=jit_compile), keras.tree.flatten(tensors)
        if is_free:
            try:
                return compiled.get_concrete_function(*map(_tensorflow_any_length, flat))
            except (TypeError, ValueError):  # a layer of somebody's own that computes with the number
                is_free = False
        return compiled.get_concrete_function(*flat)

    def key_of(flat: Sequence[Any]) -> tuple[Any, ...]:
        start = 1 if is_free else 0
        return tuple((tuple(tensor.shape)[start:], tensor.dtype) for tensor in flat)

    def call(*inputs: Any) -> Any:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        flat = keras.tree.flatten(tensors)
        concrete = traced.get(key_of(flat))
        if concrete is None:
            concrete = trace(tensors)  # which may find that lengths are not free
            traced[key_of(flat)] = concrete
        return concrete(*flat)

    return call


def _tensorflow_any_length(tensor: Any) -> Any:
    import tensorflow as tf

    return tf.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype)


def _jax_gradients(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    import jax

    return jax.jit(jax.grad(at))  # type: ignore[no-any-return]


def _jax_hessian(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    import jax

    @jax.jit  # type: ignore[untyped-decorator]
    def products(values: Any, arguments: Any) -> Any:
        vectors, *rest = arguments
        return jax.jvp(lambda given: jax.grad(at)(given, rest), (values,), (list(vectors),))[1]

    return products  # type: ignore[no-any-return]


def _torch_gradients(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(values: Sequence[Any], arguments: Any) -> Any:
        leaves = _torch_leaves(values)
        return _torch_slopes(lambda: at(leaves, arguments), leaves)

    return run


def _torch_hessian(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(values: Sequence[Any], arguments: Any) -> Any:
        vectors, *rest = arguments
        leaves = _torch_leaves(values)

        def along() -> Any:
            slopes = _torch_slopes(lambda: at(leaves, rest), leaves, create_graph=True)
            return sum((slope * vector).sum() for slope, vector in zip(slopes, vectors, strict=True))

        return _torch_slopes(along, leaves)

    return run


def _torch_leaves(values: Sequence[Any]) -> list[Any]:
    return [value.detach().clone().requires_grad_() for value in values]


def _torch_slopes(result: Callable[[], Any], leaves: Sequence[Any], *, create_graph: bool = False) -> Any:
    import torch

    with torch.enable_grad():
        slopes = torch.autograd.grad(result(), leaves, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, slopes, strict=True)]


def _tensorflow_forward(model: keras.Model) -> Callable[[Any], Any]:
    return _tensorflow_traced(lambda inputs: model(inputs, training=False))


def _jax_forward(model: keras.Model) -> Callable[[Any], Any]:
    import jax

    @jax.jit  # type: ignore[untyped-decorator]
    def pure(trained: Any, other: Any, inputs: Any) -> Any:
        outputs, _ = model.stateless_call(trained, other, inputs, training=False)
        return outputs

    def forward(inputs: Any) -> Any:
        # Passed as arguments, because jit would freeze what it closes over.
        trained = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        return pure(trained, other, inputs)

    return forward


def _torch_forward(model: keras.Model) -> Callable[[Any], Any]:
    import torch

    def forward(inputs: Any) -> Any:
        with torch.no_grad():
            return model(inputs, training=False)

    return forward


def _torch_step(step: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    def call(*inputs: Any) -> Any:
        with torch.no_grad():
            return step(*inputs)

    return call


def _jax_step(step: Callable[..., Any], reads: Sequence[Any], writes: Sequence[Any]) -> Callable[..., Any]:
    import jax

    variables = [*reads, *writes]

    @jax.jit  # type: ignore[untyped-decorator]
    def pure(current: Any, inputs: Any) -> Any:
        mapping = list(zip(variables, current, strict=True))
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = step(*inputs)
        found = (scope.get_current_value(variable) for variable in writes)
        kept = current[len(reads) :]
        return outputs, [old if new is None else new for old, new in zip(kept, found, strict=True)]

    def call(*inputs: Any) -> Any:
        # Passed as arguments, because jit would freeze what it closes over.
        outputs, written = pure([variable.value for variable in variables], inputs)
        for variable, value in zip(writes, written, strict=True):
            variable.assign(value)
        return outputs

    return call
