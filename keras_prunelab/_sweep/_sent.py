"""What worker processes are sent: the model, the data and the masks of a curve, packed once for many tasks."""

from __future__ import annotations

import hashlib
import json
import pickle
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._copy import require_saved_whole
from keras_prunelab._model._prunable import prunable
from keras_prunelab._model._rebuild import custom_objects, in_memory, known_objects, text_of
from keras_prunelab._model._variables import Learnables, Prunables
from keras_prunelab._util._worker import Packet

from ._bench import Bench, Task
from ._curve_masks import CurveMasks
from ._fingerprint import Fingerprint
from ._plan import Plan
from ._pruning import Pruning


@dataclass(frozen=True)
class SentTask:
    """A task without the layers and variables of this process, which mean nothing in another.

    Attributes:
        objects: classes and functions that the model is made of, by name.
        model: what makes the model, and its arguments.
        items: the places of the prunable variables among all, and their paths.
        learnables: which roles were asked for.
        pruning: the convention and the granularity.
        metrics: what to measure, metrics of Keras as their classes and arguments; None for what the model is compiled
            with.
        rest: the data, the curves, the data of scores, the passes, the size of a batch, the damping.
    """

    objects: dict[str, Any]
    model: Any
    items: list[tuple[int, str]]
    learnables: Learnables
    pruning: tuple[Any, Any]
    metrics: list[Any] | None
    rest: tuple[Any, ...]

    @classmethod
    def of(cls, task: Task) -> SentTask:
        """Describe a task.

        Raises:
            InvalidModelError: Keras cannot save the model, or not all of it.
        """
        model = task.model
        places = {item.path: place for place, item in enumerate(prunable(model, learnables="all"))}
        require_saved_whole(model)
        try:
            with known_objects(model), in_memory():
                made = model.__reduce__()
                metrics = None if task.metrics is None else [_sent_metric(one) for one in task.metrics]
        # NotImplementedError is what Keras raises for a class without get_config.
        except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
            raise InvalidModelError(
                f"Model {model.name!r} cannot be sent to workers, because Keras cannot save it: {error}. Use workers=1."
            ) from error
        return cls(
            objects=custom_objects(model, *filter(_is_metric, task.metrics or ())),
            model=made,
            items=[(places[item.path], item.path) for item in task.pruning.prunables],
            learnables=task.pruning.prunables.learnables,
            pruning=(task.pruning.convention, task.pruning.granularity),
            metrics=metrics,
            rest=(task.data, task.curves, task.calibration, task.passes, task.batch_size, task.damping),
        )

    def open(self) -> Bench:
        """Make the model again, and the bench that measures it.

        Raises:
            InvalidModelError: Keras cannot make it.
        """
        with keras.saving.custom_object_scope(self.objects), in_memory():
            make, arguments = self.model
            try:
                model = make(*arguments)
            except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError, NameError, OSError) as error:
                raise InvalidModelError(
                    "The model cannot be made anew in a worker, because Keras cannot load what it saves of it: "
                    f"{text_of(error)} Write get_config and from_config of its classes, and no lambda that refers to "
                    "names around it; or use workers=1."
                ) from None  # what Keras raised may not go from process to process
            metrics = None if self.metrics is None else [_receive_metric(one) for one in self.metrics]
        every = prunable(model, learnables="all")
        items = tuple(replace(every[place], path=path) for place, path in self.items)
        pruning = Pruning(*self.pruning, Prunables(items, (), self.learnables))
        data, curves, calibration, passes, batch_size, damping = self.rest
        return Bench(Task(model, data, pruning, metrics, curves, calibration, passes, batch_size, damping))


def pack(task: Task, plan: Plan) -> Packet:
    """A task for workers.

    Raises:
        InvalidModelError: Keras cannot save the model.
        InvalidDataError: the data, a score or a metric cannot be pickled.
    """
    import cloudpickle  # what joblib and Dask use, and come with

    sent = SentTask.of(task)
    try:
        content = cloudpickle.dumps(sent, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling runs anybody's code
        raise InvalidDataError(
            f"The data, a score or a metric cannot be sent to workers: {error}. Give arrays, a keras.utils.PyDataset "
            "or a function that returns batches; or use workers=1."
        ) from error
    return Packet.of(_key(task, plan), content)


def pack_masks(masks: CurveMasks, levels: Sequence[float]) -> Packet | None:
    """The masks of a curve at some levels; None where none is known yet."""
    known = {level: masks.known(level) for level in levels if level in masks}
    content = pickle.dumps(known, protocol=pickle.HIGHEST_PROTOCOL) if known else b""
    return Packet.of(uuid.uuid4().hex, content) if known else None


def _key(task: Task, plan: Plan) -> str:
    """The same for the same task, so that workers that are still there need not prepare anew."""
    if task.trains or task.calibration is not None:
        return uuid.uuid4().hex
    fingerprint = asdict(Fingerprint.of(task, plan))
    for name in ("sparsities", "training"):  # said by each point; what trains is sent with its data
        fingerprint["settings"].pop(name)
    try:
        with in_memory():
            config = keras.saving.serialize_keras_object(task.model)
        text = json.dumps([fingerprint, config, [type(one).__name__ for one in task.curves]], default=repr)
    except (TypeError, ValueError, NotImplementedError):  # Keras or JSON cannot write it down: a task of its own
        return uuid.uuid4().hex
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _is_metric(one: Any) -> bool:
    return isinstance(one, keras.metrics.Metric)


def _sent_metric(metric: Any) -> Any:
    return (type(metric), metric.get_config()) if _is_metric(metric) else metric


def _receive_metric(metric: Any) -> Any:
    return metric[0].from_config(metric[1]) if isinstance(metric, tuple) else metric
