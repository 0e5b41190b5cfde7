"""PQuantML's PDP, a share of each layer, without quantization: prints error, zeros and seconds as JSON.

It prunes softly, more in each epoch, until the masks come to rest; what is left is fine-tuned for the other epochs.
"""

import json
import math
import sys
import time

import keras
import numpy as np
import pquant

asked = json.loads(sys.argv[1])
data = np.load(asked["data"])
keras.utils.set_random_seed(asked["seed"])
pixels = keras.Input((784,))
hidden = keras.layers.Dense(100, "relu")(keras.layers.Dense(300, "relu")(pixels))
model = keras.Model(pixels, keras.layers.Dense(10)(hidden))
sparse, epochs = asked["sparsity"] > 0, asked["epochs"]
if sparse:
    pruning = round(asked["end"] * epochs)
    config = pquant.pdp_config()
    config.pruning_parameters.sparsity = asked["sparsity"]
    config.pruning_parameters.epsilon = 1 / pruning
    config.quantization_parameters.enable_quantization = False
    config.training_parameters.pretraining_epochs = 0
    config.training_parameters.epochs = pruning
    config.training_parameters.fine_tuning_epochs = epochs - pruning
    model = pquant.add_compression_layers(model, config, (None, 784))
steps = math.ceil(len(data["x"]) / asked["batch"]) * epochs
rate = keras.optimizers.schedules.CosineDecay(asked["rate"], steps, alpha=0.01)
model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def train(model, epochs=1, **_):
    """Train, for one epoch where the library calls it."""
    model.fit(data["x"], data["y"], asked["batch"], epochs, verbose=0)


begun = time.perf_counter()
if sparse:
    model = pquant.train_model(model, config, train, lambda *_, **__: None)
    pquant.apply_final_compression(model)
else:
    train(model, epochs)
seconds = time.perf_counter() - begun
wrong = model.predict(data["x_test"], 1000, verbose=0).argmax(axis=1) != data["y_test"]
kernels = [np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
zeros = sum(int(np.sum(kernel == 0)) for kernel in kernels)
found = {"error": float(np.mean(wrong)), "zeros": zeros, "seconds": seconds, "backend": keras.backend.backend()}
print(json.dumps(found))
