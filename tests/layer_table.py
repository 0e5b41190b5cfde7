"""Write docs/layers.md: what becomes of each layer of MATLAB's.

Run as `python -m tests.layer_table`.
"""

from __future__ import annotations

from pathlib import Path

from matlab_bridge._atomic import replace_whole
from matlab_bridge._layer_classes import LAYER_CLASSES, LayerClass
from matlab_bridge.convert._rules import registered

TARGET = Path(__file__).resolve().parents[1] / "docs" / "layers.md"

HEADING = """# MATLAB's layers

What `to_keras` makes of each layer of MathWorks'
[list of deep learning layers](https://www.mathworks.com/help/deeplearning/ug/list-of-deep-learning-layers.html),
release R2025b: {converted} of {layers} convert, with their weights in both directions. A layer that converts may
still be refused where a setting of it has no counterpart in Keras; the error then names the layer, the setting and
the reason.

`python -m tests.layer_table` writes this page.
"""

ENDING = """
## Layers of importers

Networks that MATLAB imported from Keras or ONNX hold layers that no function of the list makes. Those in
`nnet.keras.layer` and `nnet.onnx.layer` convert that apply a sigmoid, a tanh, a clip, a scale and an offset, or
nothing; that average whole images; that flatten, with channels first from ONNX and last from Keras; and that pad with
zeros, the same on all sides. So do the shuffle of ShuffleNet and the scaling of Inception-ResNet-v2. What an importer
generated, such as `ReshapeLayer1000` in a package of the network's name, is code in MATLAB, and not in the file.

## Layers of your own

A layer class that you wrote has its properties in the file, but not its code: tell `register_layer` what it computes.

```python
import keras
import matlab_bridge as mb
import numpy as np


@mb.register_layer("myPackage.myGainLayer")
class MyGain(mb.LayerRule):
    def build(self, site):
        steepness = float(site.layer.settings["Steepness"].item())
        bent = keras.ops.tanh(steepness * site.input)
        norm = keras.layers.BatchNormalization(center=False, epsilon=0, name=site.name)
        return norm(bent)

    def parameters(self, layer):
        return (mb.Parameter("Gains", "gamma", to_matlab=lambda gains: gains.reshape(-1, 1)),)


own = mb.Layer("gain", "myPackage.myGainLayer", {"Steepness": np.array([[2.0]])}, {"Gains": np.array([[3.0], [4.0]])})
start = mb.Layer("input", "nnet.cnn.layer.FeatureInputLayer", {"InputSize": np.array([[2.0]])})
model = mb.Network((start, own), (mb.Connection("input", "gain"),)).to_keras()
assert np.allclose(model(np.array([[1.0, 0.0]])), [[3 * np.tanh(2), 0]])
```

`build` makes the Keras layers; the one that holds the weights is named `site.name`. `parameters` says which array of
MATLAB's is which variable of that layer, and pruned weights then find their way back into the file. A layer without
weights needs no `parameters`. Where settings count channels, `sizes_of` gives them for a Keras layer that has fewer.

The same goes for a layer of MathWorks' whose arithmetic is not published. `sinusoidalPositionEncodingLayer` is one: its
page does not say in which order the channels hold sines and cosines, nor from which number positions are counted.
In MATLAB, `predict(dlnetwork([sequenceInputLayer(1) sinusoidalPositionEncodingLayer(4)]), dlarray(zeros(1,2),"CT"))`
tells both. Say what you saw, here that positions count from 1 and that sines and cosines alternate:

```python
@mb.register_layer("nnet.cnn.layer.SinusoidalPositionEncodingLayer")
class SinePositions(mb.LayerRule):
    def build(self, site):
        size = int(site.layer.settings["OutputSize"].item())
        positions = keras.ops.cumsum(keras.ops.ones_like(site.input[..., :1]), axis=1)
        angles = positions / 10000 ** (np.arange(0, size, 2) / size).astype("float32")
        pairs = keras.ops.stack([keras.ops.sin(angles), keras.ops.cos(angles)], axis=-1)
        return keras.layers.Reshape((-1, size), name=site.name)(pairs)


start = mb.Layer("input", "nnet.cnn.layer.SequenceInputLayer", {"InputSize": np.array([[1.0]])})
own = mb.Layer("sines", "nnet.cnn.layer.SinusoidalPositionEncodingLayer", {"OutputSize": np.array([[4.0]])})
model = mb.Network((start, own), (mb.Connection("input", "sines"),)).to_keras()
assert np.allclose(model(np.zeros((1, 2, 1)))[0, 1], [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)])
```

## Functions

The function of a `functionLayer` is parsed, and never run. What converts is arithmetic on one line: numbers,
`+ - * / ^` and their forms with a dot, comparisons, `& | ~`, `[a; b]`, `cat`, `sum`, `mean`, `prod`, `max`, `min`,
`cumsum`, `abs`, `round`, `mod`, `exp`, `log`, `sqrt`, `sin`, `cos`, `tan` and their inverses, `tanh`, `relu`,
`leakyrelu`, `gelu`, `softplus`, `sigmoid` and a few more. Numbers that an
anonymous function took along from its workspace are in the file, and are found there. What mixes the observations of
a batch is refused.
"""


def row(layer: LayerClass) -> str:
    """One line of the table."""
    outcome = "yes" if layer.class_name in registered() else f"no: {layer.reason}"
    return f"| `{layer.constructor}` | `{layer.class_name}` | {outcome} |"


def page() -> str:
    """The whole page."""
    converted = sum(layer.class_name in registered() for layer in LAYER_CLASSES)
    parts = [HEADING.format(converted=converted, layers=len(LAYER_CLASSES))]
    for kind in dict.fromkeys(layer.kind for layer in LAYER_CLASSES):
        lines = "\n".join(row(layer) for layer in LAYER_CLASSES if layer.kind == kind)
        parts.append(f"\n## {kind}\n\n| Function | Class | Keras |\n|---|---|---|\n{lines}\n")
    return "".join([*parts, ENDING])


def main() -> None:
    """Write the page."""
    with replace_whole(TARGET) as temporary:
        temporary.write_text(page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
