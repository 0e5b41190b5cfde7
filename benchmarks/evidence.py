"""What each method of pruning is worth: sparsity against accuracy, networks, data, epochs and seeds the same for all.

    python benchmarks/evidence.py [--study NAME] [--network NAME] [--seeds N] [--quick]
    python benchmarks/evidence.py --page

The studies are `train`, `oneshot`, `sequences`, `finetune`, `rewind`, `filters`, `headline`, `shifted`, `tried` and
`peers`; by default all of them, one after the other. Each finished row is kept in `build/evidence-full/`, so that the
same command goes on after a kill; a clone goes on with the tables that it came with. The tables are written to
`benchmarks/evidence-results/`, and `--page` makes `docs/evidence.md` of them alone. `--quick` prunes one network in
under ten minutes, and `--smoke` in one; their tables stay in `build/`.

`KERAS_BACKEND` says what Keras runs on; JAX is the fastest for dense and recurrent layers, TensorFlow for convolutions
on a processor.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if __name__ == "__main__":
    from evidence.command import main

    main()
