"""Sentences for people: the short explanations of the help screen."""

from collections.abc import Mapping

EXPLANATIONS: Mapping[str, str] = {
    "◆ and ◇ in the form": (
        "A field with ◆ is a knob: while a run lives it says what is in force, also after [ and after a drop of the "
        "policy's. With ◇ it says what was typed and is not in force yet: enter sends it, and the log says when the "
        "run has obeyed; escape gives back what is in force."
    ),
    "The gap": (
        "The generalisation gap is validation loss minus training loss, both measured after the epoch with dropout "
        "off and without any penalty. It grows while the net memorises: training loss falls on, validation loss "
        "does not."
    ),
    "Running loss above validation": (
        "The running loss is the mean over the batches of an epoch, with dropout on and weights that were still "
        "changing. Units that are switched off make it worse, so it can lie above the validation loss of a healthy "
        "run."
    ),
    "L2 in Keras and in PyTorch": (
        "Keras's l2(x) adds x · sum(w²) to the loss, whose gradient is 2·x·w; PyTorch's weight_decay adds "
        "weight_decay·w to the gradient. So PyTorch is given weight_decay = 2 × l2, on kernels only, and both learn "
        "the same."
    ),
    "Weight decay": (
        "Decoupled decay takes LR · weight_decay · w off each kernel at every update, apart from the gradient. With "
        "Adam that differs from L2, whose gradient is divided by Adam's own scale."
    ),
    "Plateau in PyTorch and in Keras": (
        "PyTorch's ReduceLROnPlateau fires when more than `patience` losses in a row were not better by a share of "
        "the best; Keras's fires one earlier and asks for an absolute difference. regtui runs PyTorch's rule in both "
        "frameworks unless the rule says keras."
    ),
    "Momentum": (
        "PyTorch keeps v = µv + g and subtracts LR·v; Keras keeps v = µv − LR·g and adds v. When the rate changes, "
        "Keras still carries steps of the old rate, so the two part by up to 16 % under decay."
    ),
    "Adam's epsilon": (
        "Keras folds Adam's bias correction into the step size, so its epsilon acts before the correction and "
        "PyTorch's after it. Batch losses of the two stay within about 3 % on MNIST."
    ),
}
"""What a student asks, in two or three exact sentences."""
