"""Torch-Pruning on a network that benchmarks/compact.py describes; run by that, in the peer's own environment."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import torch
import torch_pruning as tp
from torch import nn
from torch.nn import functional


def padding(config: dict[str, Any], shape: list[int]) -> list[int]:
    """Keras' padding of an image (batch, height, width, channels), in the order of torch's `pad`."""
    if config["padding"] == "valid":
        return [0, 0, 0, 0]
    found = []
    window = config.get("kernel_size") or config["pool_size"]
    for axis in (1, 0):
        kernel, stride, length = window[axis], config["strides"][axis], shape[axis + 1]
        total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
        found += [total // 2, total - total // 2]
    return found


class Padded(nn.Module):
    """A layer behind a padding."""

    def __init__(self, amounts: list[int], layer: nn.Module, value: float = 0.0) -> None:
        super().__init__()
        self.amounts, self.layer, self.value = amounts, layer, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad, then call."""
        return self.layer(functional.pad(x, self.amounts, value=self.value) if any(self.amounts) else x)


def layer(call: dict[str, Any]) -> nn.Module:
    """One layer in torch."""
    kind, config, (given, made) = call["kind"], call["config"], call["shapes"]
    if kind in ("Conv2D", "DepthwiseConv2D"):
        groups = given[-1] if kind == "DepthwiseConv2D" else 1
        conv = nn.Conv2d(
            given[-1], made[-1], config["kernel_size"], config["strides"], groups=groups, bias=config["use_bias"]
        )
        return Padded(padding(config, given), conv)
    if kind == "MaxPooling2D":
        return Padded(padding(config, given), nn.MaxPool2d(config["pool_size"], config["strides"]), -math.inf)
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = config["padding"]
        return nn.ZeroPad2d((left, right, top, bottom))
    return {
        "Dense": lambda: nn.Linear(given[-1], made[-1]),
        "BatchNormalization": lambda: nn.BatchNorm2d(given[-1]),
        "ReLU": nn.ReLU6,
        "Activation": nn.ReLU,
        "Flatten": nn.Flatten,
        "Dropout": nn.Identity,
        "GlobalAveragePooling2D": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "Add": nn.Identity,
    }[kind]()


class Network(nn.Module):
    """The calls of a described network, one after the other."""

    def __init__(self, calls: list[dict[str, Any]]) -> None:
        super().__init__()
        self.calls = calls
        self.layers = nn.ModuleList([layer(call) for call in calls])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last output."""
        values = [x]
        for call, each in zip(self.calls, self.layers, strict=True):
            inputs = [values[index] for index in call["inputs"]]
            values.append(each(sum(inputs[1:], inputs[0])))
        return values[-1]


def counted(model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """Learnable parameters, and one multiply-add a weight and position of convolutions and fully connected layers."""
    macs = 0

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        nonlocal macs
        positions = output.numel() // output.shape[0] // module.weight.shape[0]
        macs += module.weight.numel() * positions

    kinds = (nn.Conv2d, nn.Linear)
    hooks = [each.register_forward_hook(count) for each in model.modules() if isinstance(each, kinds)]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return sum(parameter.numel() for parameter in model.parameters()), macs


def main() -> None:
    """Build, prune, count."""
    network = json.load(sys.stdin)
    _, height, width, channels = network["input"]
    model, x = Network(network["calls"]).eval(), torch.randn(1, channels, height, width)
    before = counted(model, x)
    last = [each for each in model.modules() if isinstance(each, nn.Linear)][-1]
    tp.pruner.MagnitudePruner(
        model,
        x,
        importance=tp.importance.MagnitudeImportance(p=1),
        pruning_ratio=float(sys.argv[1]),
        ignored_layers=[last],
    ).step()
    after = counted(model, x)
    print(json.dumps({"parameters": [before[0], after[0]], "macs": [before[1], after[1]]}))


if __name__ == "__main__":
    main()
