"""TensorFlow's toolkit, on tf-keras: prints error, zeros and seconds as JSON."""

import json
import math
import sys
import time

import numpy as np
import tensorflow_model_optimization as toolkit
import tf_keras as keras

asked = json.loads(sys.argv[1])
data = np.load(asked["data"])
keras.utils.set_random_seed(asked["seed"])
hidden = [keras.layers.Dense(units, "relu") for units in (300, 100)]
model = keras.Sequential([keras.layers.InputLayer((784,)), *hidden, keras.layers.Dense(10)])
steps = math.ceil(len(data["x"]) / asked["batch"]) * asked["epochs"]
callbacks = []
if asked["sparsity"]:
    end = int(asked["end"] * steps) // 20 * 20  # masks change at multiples of 20 alone
    schedule = toolkit.sparsity.keras.PolynomialDecay(0.0, asked["sparsity"], 0, end, frequency=20)
    model = toolkit.sparsity.keras.prune_low_magnitude(model, schedule)
    callbacks = [toolkit.sparsity.keras.UpdatePruningStep()]
rate = keras.optimizers.schedules.CosineDecay(asked["rate"], steps, alpha=0.01)
model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
begun = time.perf_counter()
model.fit(data["x"], data["y"], asked["batch"], asked["epochs"], verbose=0, callbacks=callbacks)
seconds = time.perf_counter() - begun
if asked["sparsity"]:
    model = toolkit.sparsity.keras.strip_pruning(model)
wrong = model.predict(data["x_test"], 1000, verbose=0).argmax(axis=1) != data["y_test"]
zeros = sum(int(np.sum(layer.get_weights()[0] == 0)) for layer in model.layers)
found = {"error": float(np.mean(wrong)), "zeros": zeros, "seconds": seconds, "backend": "tf-keras"}
print(json.dumps(found))
