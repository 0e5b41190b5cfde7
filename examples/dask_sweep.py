"""A sweep on Dask: many points, several processes, and a store from which a killed sweep goes on.

The cluster is made on this machine. With the address of a scheduler in the place of `LocalCluster()` the same lines run
on many; joblib sends them the model once.
"""

from __future__ import annotations

import joblib
import keras
import numpy as np
from dask.distributed import Client, LocalCluster
from gallery import output_folder
from mnist_lab import classifier, digits, train

import keras_prunelab as kpl


def main() -> None:
    """Train, and sweep with two workers."""
    out = output_folder(__file__, __doc__)
    keras.utils.set_random_seed(0)
    images, labels, *test = digits()
    model = classifier()
    train(model, images, labels, epochs=4, verbose=0)

    data = (test[0].astype(np.float32), test[1])
    levels, scores = np.arange(0.3, 0.96, 0.05), ["magnitude", "synflow", "random"]
    print(kpl.plan_sweep(model, data, levels, scores, seeds=2))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        result = kpl.sweep(model, data, levels, scores, seeds=2, store=out / "sweep.db", progress=False)
    choice = result.choose(max_drop=0.01)
    print(choice.reason)
    result.plot(out / "sweep.png", choice)


if __name__ == "__main__":
    main()
