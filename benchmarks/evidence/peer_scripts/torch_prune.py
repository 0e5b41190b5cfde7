"""`torch.nn.utils.prune`, all layers together: prints error, zeros and seconds as JSON."""

import json
import math
import sys
import time

import numpy as np
import torch
from torch.nn.utils import prune

asked = json.loads(sys.argv[1])
data = np.load(asked["data"])
torch.manual_seed(asked["seed"])
torch.set_num_threads(2)
x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"]).long()
layers = [torch.nn.Linear(784, 300), torch.nn.Linear(300, 100), torch.nn.Linear(100, 10)]
model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
kernels = [(layer, "weight") for layer in layers]
count = sum(layer.weight.numel() for layer in layers)
steps = math.ceil(len(x) / asked["batch"]) * asked["epochs"]
optimizer = torch.optim.Adam(model.parameters(), asked["rate"], eps=1e-7)  # Keras' epsilon
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=asked["rate"] / 100)
end, step, pruned = int(asked["end"] * steps), 0, 0
begun = time.perf_counter()
for _ in range(asked["epochs"]):
    for rows in torch.randperm(len(x)).split(asked["batch"]):
        if asked["sparsity"] and (step % 20 == 0 or step == end) and step <= end:
            target = asked["sparsity"] * (1 - (1 - step / end) ** 3)
            # Counted among what is left, because masks add up; whole numbers are counts.
            more = round(target * count) - pruned
            if more > 0:
                prune.global_unstructured(kernels, prune.L1Unstructured, amount=more)
                pruned += more
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        schedule.step()
        step += 1
seconds = time.perf_counter() - begun
if asked["sparsity"]:
    for layer, name in kernels:
        prune.remove(layer, name)
with torch.no_grad():
    wrong = model(torch.from_numpy(data["x_test"])).argmax(dim=1).numpy() != data["y_test"]
zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
found = {"error": float(np.mean(wrong)), "zeros": zeros, "seconds": seconds, "backend": "torch"}
print(json.dumps(found))
