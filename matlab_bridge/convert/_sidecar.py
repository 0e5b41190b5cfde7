"""What a Keras model of a MATLAB network cannot say itself: its class names, and where it came from."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matlab_bridge._atomic import replace_whole
from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._sidecar_path import sidecar_path
from matlab_bridge.network import Network

if TYPE_CHECKING:
    import keras

_FACTS, _NETWORK = "matlab", "matlab_network"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Facts that travel beside a converted model.

    Attributes:
        class_names: in the order of the model's scores; empty for a regression, or where MATLAB saved none.
        file: the name of the file that the network was read from; empty for none.
        variable: the variable in that file, such as `"net"` or `"agent.Actor.Network"`.
        network_class: MATLAB's class of the network, such as `"SeriesNetwork"`.
        untrained: the layers that had no weights in MATLAB and start with Keras' own.
        convention: the pruning convention that fits where the network came from.
    """

    class_names: tuple[str, ...] = ()
    file: str = ""
    variable: str = ""
    network_class: str = ""
    untrained: tuple[str, ...] = ()
    convention: str = "matlab"

    @classmethod
    def of(cls, network: Network, untrained: tuple[str, ...] = ()) -> Sidecar:
        """The facts of a network."""
        source = network.source
        return cls(
            class_names=network.class_names,
            file=source.path.name if source else "",
            variable=source.variable if source else "",
            network_class=network.class_name,
            untrained=untrained,
        )


def attach(model: keras.Model, facts: Sidecar, network: Network | None = None) -> None:
    """Hang the facts, and the network itself, on a model in memory.

    Args:
        model: the converted model. `keras.Model.save` leaves out what hangs on it; see `save_sidecar`.
        facts: its side-car.
        network: what it was converted from.
    """
    setattr(model, _FACTS, facts)
    setattr(model, _NETWORK, network)


def origin(model: keras.Model) -> Network | None:
    """The network that a model in memory was converted from; None for any other model."""
    network = getattr(model, _NETWORK, None)
    return network if isinstance(network, Network) else None


def sidecar(model: keras.Model) -> Sidecar:
    """The facts of a model that `to_keras` made, or of one loaded with `load_sidecar` and attached.

    Args:
        model: any Keras model.

    Returns:
        Its facts; empty ones for a model that did not come from MATLAB.
    """
    facts = getattr(model, _FACTS, None)
    return facts if isinstance(facts, Sidecar) else Sidecar(convention="paper")


def save_sidecar(model_path: str | os.PathLike[str], model: keras.Model) -> Path:
    """Write the facts of a model beside its `.keras` file.

    Args:
        model_path: the `.keras` file, such as `"net.keras"`.
        model: a model that `to_keras` made.

    Returns:
        The path of the JSON file, such as `net.matlab.json`.
    """
    path = sidecar_path(model_path)
    with replace_whole(path) as temporary:
        temporary.write_text(json.dumps(asdict(sidecar(model)), indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def load_sidecar(model_path: str | os.PathLike[str]) -> Sidecar:
    """Read the facts beside a `.keras` file.

    Args:
        model_path: the `.keras` file, such as `"net.keras"`.

    Returns:
        Its facts; empty ones where there is no JSON file beside it.

    Raises:
        InvalidNetworkError: the JSON file is not one that `save_sidecar` wrote.
    """
    path = sidecar_path(model_path)
    if not path.is_file():
        return Sidecar(convention="paper")
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for key in ("class_names", "untrained"):
            stored[key] = tuple(map(str, stored[key]))
        return Sidecar(**stored)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidNetworkError(
            f"{path} is damaged, or no file that save_sidecar wrote: {error}. Without it the model loads without its "
            "class names."
        ) from error
