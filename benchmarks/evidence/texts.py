"""What the page and the method chooser say around their tables."""

from __future__ import annotations

INTRODUCTION = """# Evidence

What each method is worth, measured by `python benchmarks/evidence.py` on {data}:
for every method the same first weights, data, batches of {batch}, learning rate (Adam, along half a cosine) and epochs.
Every number of this page comes from a CSV file in `benchmarks/evidence-results/`; what is missing has not been run, and
the same command goes on with it.

**Not the papers' split.** The papers train on MNIST's 60,000 training images and test on its own 10,000. Here the test
images are held out of the training images, so that fewer are trained on. Dense errors stand beside pruned ones for that
reason.

**How it was chosen.** The score `obd` was the best of four that were tried, and the rates of LeNet-5 and LSTM-128
the best of two or three, on 10,000 images that are not of the test split (those to choose by, and 8,000 of those to
train on), by networks that learned from the other 40,000. Rows of lower rates, and of images that do not move, had
been measured on the test split before: they are why the search was made. So the test split chose no value, but it
was looked at. Pruning biases too was tried because of what the test split had shown at 200x; it has no value to choose.

**Compression counts all parameters**: those of the dense network divided by those that are not pruned, biases and
normalizations among them. The sparsity is that of the kernels. `macs` are multiply-adds for one observation, one for
each use of a weight of a kernel, as [`metrics`](reference/cost.md) counts them; pruned, those that are not zero. Errors
are in percent, the mean over the seeds and the sample standard deviation; two rows of one seed that are less than 0.3
points apart may be so by chance. A seed alone does not fix a network: trained again on another day, that of a seed had
another dense error, as the first column of other libraries shows.
Seconds are those of a busy machine: all rows, one after the other, took it {spent}, and the dense networks come on top;
`--workers 2` does two at a time."""

BESIDE = """Weights pruned more and more along the polynomial of Zhu and Gupta 2017, those of all layers ranked
together, the masks at rest after {end:.0%} of {epochs} epochs; by magnitude, and by Optimal Brain Damage with the
curvature that Adam goes by (`Prune(schedule, "obd")`). *Biases too*: they are ranked with the weights
(`learnables="all"`), as Lee et al. do; measured from 50x on (of the LSTM from 17.8x), where they count.
*Shifted*: each image is moved by up to one pixel, for the dense network too; the papers' networks saw their images in
one place. The papers' figures stand in the papers or in the tables of Lee et al. 2019; each paper has a budget of its
own. Ours are the best of those that are as sparse, or sparser."""

TRIED = """A method is added where its mean error is lower than that of gradual magnitude pruning by more than the
pooled standard deviation, with equal epochs and over three seeds, on at least two networks. AC/DC prunes to the
whole sparsity at once, here with all layers ranked together. On LeNet-5 its errors differ widely between seeds; that
magnitude at 50x breaks that network at once (see the table without training) may be why. A network counts once, with
images that move or without."""

SHORT = """**Where ours are short.** Every network learns for {epochs} epochs. Where weights alone are pruned, biases
are much of what is left: {biases} of the {kept:,} parameters of {network} at {level}."""

SHORT_SEQUENCES = """The LSTM at 95 % does not come down to its own dense error, which lies below that of the paper's
network, pruned or not."""

FINETUNED = """As many epochs of fine-tuning for every score. SNIP, GraSP and Taylor go by the gradient of the loss:
where a trained network has none for a class, they prune what leads to that class first, and two epochs do not bring it
back."""

PEERS = """Gradual pruning by magnitude: the same network, data, epochs, batch and learning rate, each in an environment
of its own. TFMOT prunes each layer to the same sparsity, PQuantML each to what a ranking of all weights before training
leaves it; the others rank all layers together at each step. PQuantML's rows were measured several at a time, which
about doubles their seconds."""

SHIFTED = """As in the first table, but each image is moved by up to one pixel along both axes, anew in every epoch, for
the dense network too. The papers' networks saw their images in one place."""

TITLES = {
    "train": ("Pruned while training", "From the first weights on, as many epochs as the dense network."),
    "oneshot": (
        "Without any training",
        "The dense network pruned at once; the weights that are left as they are, or solved anew.",
    ),
    "sequences": (
        "An LSTM, pruned while training",
        "An image as a sequence of its rows; 17.8x is 95 % of the kernels.",
    ),
    "finetune": ("Pruned at once, then fine-tuned", FINETUNED),
    "rewind": ("In rounds", "Three equal parts of the epochs with a pruning after the first and the second."),
    "filters": (
        "Whole filters",
        "The share of the neurons of each hidden layer that is cut out; `macs` fall as much in any runtime.",
    ),
    "headline": ("More seeds for the headline", "The first rows of the first table, with two seeds more."),
    "shifted": ("With images that move", SHIFTED),
    "tried": ("Tried, and not in the library", TRIED),
    "peers": ("Other libraries", PEERS),
}


CHOOSER = """# Which method?

`s` is the sparsity, the share of weights that goes. The figures are errors on images or signals that nothing else has
seen, the mean over the seeds that both methods have. All methods are in [the evidence](evidence.md), from the same
tables."""
