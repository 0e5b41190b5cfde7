"""A student's workspace, made once: a small classifier of real digits, and 300 images to validate it on."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def example() -> ModuleType:
    """examples/mnist_lab.py as a module, which reads its digits once."""
    spec = importlib.util.spec_from_file_location("mnist_lab", EXAMPLES / "mnist_lab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["digits"] = functools.cache(module.digits)
    return module


@pytest.fixture(scope="session")
def workspace(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lab5.mat`: the portable form of a trained network, `XValidation` and `YValidation`."""
    import keras

    from matlab_bridge import save_portable

    keras.utils.set_random_seed(0)
    images, labels, x, y = example.digits()
    model = example.classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images[:2000].astype(np.float32), labels[:2000], epochs=3, verbose=0)
    path = tmp_path_factory.mktemp("workspace") / "lab5.mat"
    variables = {
        "XValidation": x[:300].transpose(1, 2, 3, 0),
        "YValidation": pd.Categorical.from_codes(y[:300], categories=list("0123456789")),
    }
    save_portable(path, model, class_names=tuple("0123456789"), variables=variables)
    return path
