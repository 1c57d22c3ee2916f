"""What the names in logs of others mean: one table, from their spelling to `split/quantity`.

A name is taken apart into words (`val_loss`, `valLoss`, `loss/val` and `validation/epoch_loss` hold the same two), a
word that names a split and those that name a quantity are looked for, and what stands between them is the name of an
evaluation set. What is not understood is kept under its own name.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from regtui.core.metrics import LEARNING_RATE, STEP_LOSS, TRAIN_LOSS, VALID_LOSS, metric
from regtui.core.table import MOST_NAMES
from regtui.readers.protocol import NOTHING_WANTED, LogError, Wanted

Place = Literal["step", "epoch", "time"]


class Meaning(NamedTuple):
    """What a name of a log stands for."""

    table: Literal["steps", "evaluations", "place", "nothing"]
    """Where its numbers go: with each update, with each evaluation; or they say where a row is, or nothing."""
    name: str
    """`split/quantity`, or the place."""


# fmt: off
PLACES: dict[str, Place] = {
    "step": "step", "steps": "step", "global_step": "step",
    "_step": "step", "trainer/global_step": "step", "train/global_step": "step",  # W&B; Lightning, transformers in it
    "iter": "step", "iters": "step", "iteration": "step", "iterations": "step", "it": "step",  # MMEngine, detectron2
    "num_updates": "step", "update": "step", "updates": "step", "train_steps": "step",  # fairseq, OpenNMT
    "epoch": "epoch", "epochs": "epoch", "trainer/epoch": "epoch", "train/epoch": "epoch",
    "validation/epoch": "epoch",  # regtui's own event files
    "timestamp": "time", "_timestamp": "time", "wall_time": "time", "walltime": "time",  # W&B, TensorBoard
}
# fmt: on
"""Name -> what it says of where its row is."""

RESERVED = frozenset({"time", "seconds", "evaluate_seconds", "measured"})
"""Columns of a History; detectron2's `time` is that of an update and no date."""

NO_SAMPLES = re.compile(
    r"(train/)?(train_(runtime|samples_per_second|steps_per_second)|total_flos)$"  # transformers' summary of a run
    r"|hp_metric$"  # Lightning writes it as -1 so that hyperparameters are shown
    r"|_(runtime|step)$|_wandb([./]|$)"  # W&B's own
)
"""Names that look like measurements and are none, where they stand in a log of their trainer."""

SUMMARY_LOSS = re.compile(r"(train/)?train_loss$")
"""The mean of the whole run in transformers' summary, told by the `train_runtime` beside it."""

RATES = re.compile(
    r"(^|.*[/_.\- ])(learning[_ ]?rate|lr)"
    r"([/_\-](pg|group)?[_-]?\d+|\d+|-[\w.]+?(/(pg|group)\d+)?)?$",  # lr/pg0, x/lr0, lr-Adam, lr-AdamW/group0
    re.IGNORECASE,
)
"""The learning rate, of the first group or of any."""

MEASURED_TRAIN_LOSS = "measured train loss"
"""What a reader calls a training loss of which it knows that it was measured as validation is: dropout off."""

VALID_WORDS = frozenset({"val", "valid", "validation", "eval", "evaluation", "dev", "validate"})
TRAIN_WORDS = frozenset({"train", "training", "tr"})
TEST_WORDS = frozenset({"test", "testing"})

EPOCH_WORDS = frozenset({"epoch"})  # Lightning's train_loss_epoch, Keras's epoch_loss
STEP_WORDS = frozenset({"step", "batch"})  # Lightning's train_loss_step, Keras's batch_loss
NOISE_WORDS = frozenset(
    {"total", "mean", "avg", "average", "metrics", "metric", "score", "running", "smoothed", "curve"}
)
"""Words that say nothing of what is measured: Composer's `loss/train/total`, its `metrics/eval/...`."""

# fmt: off
QUANTITIES: dict[str, tuple[str, int]] = {
    "loss": ("loss", 0), "losses": ("loss", 0), "objective": ("loss", 3), "cost": ("loss", 3),
    "xent": ("loss", 1),  # OpenNMT
    "cross entropy": ("loss", 1), "language cross entropy": ("loss", 1),  # Composer
    "crossentropy": ("loss", 1), "ce": ("loss", 2), "ce loss": ("loss", 1), "nll": ("loss", 1), "nll loss": ("loss", 1),
    "acc": ("accuracy", 0), "accuracy": ("accuracy", 0), "multiclass accuracy": ("accuracy", 0),
    "top1": ("accuracy", 0), "top 1": ("accuracy", 0), "acc1": ("accuracy", 0), "acc 1": ("accuracy", 0),  # timm
    "top1 acc": ("accuracy", 0),
    "categorical accuracy": ("accuracy", 1), "sparse categorical accuracy": ("accuracy", 1),  # Keras
    "binary accuracy": ("accuracy", 1),
    "ppl": ("perplexity", 0), "perplexity": ("perplexity", 0), "wer": ("wer", 0), "cer": ("cer", 0),
    "bpb": ("bpb", 0),  # nanochat: bits a byte, never paired with nats
    "f1": ("f1", 0), "auc": ("auc", 0), "roc auc": ("auc", 0), "iou": ("iou", 0), "miou": ("iou", 1),
    "map": ("map", 0), "bleu": ("bleu", 0), "rouge": ("rouge", 0), "reward": ("reward", 0), "rewards": ("reward", 0),
    "mae": ("mae", 0), "mse": ("mse", 0), "rmse": ("rmse", 0), "error": ("error", 0), "err": ("error", 0),
    "precision": ("precision", 0), "recall": ("recall", 0),
}
# fmt: on
"""Words -> quantity, and its rank where several names mean the same: the lowest stands, the others keep their names."""


class Parts(NamedTuple):
    """A name taken apart."""

    split: Literal["train", "valid", "test", ""]
    subset: str
    """What stands between the split and the quantity: an evaluation set, or one part of a loss."""
    quantity: str
    """Empty where it is not known."""
    rank: int
    level: Literal["epoch", "step", ""]
    """Whether the name says that it is an epoch's mean or one batch's number."""


@lru_cache(maxsize=4096)
def parts(name: str) -> Parts:
    """Take a name apart."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    words = [word.lower() for word in re.split(r"[/_.\-\s:@()\[\]]+", spaced) if word]
    split: Literal["train", "valid", "test", ""] = ""
    level: Literal["epoch", "step", ""] = ""
    rest: list[str] = []
    for word in words:
        found: Literal["train", "valid", "test", ""] = (
            "valid" if word in VALID_WORDS else "train" if word in TRAIN_WORDS else "test" if word in TEST_WORDS else ""
        )
        if found and not split:
            split = found
        elif word in EPOCH_WORDS or word in STEP_WORDS:
            level = "epoch" if word in EPOCH_WORDS else "step"
        elif not found and word not in NOISE_WORDS and (not rest or rest[-1] != word):
            rest.append(word)
    # `Loss_train/Loss`, as add_scalars writes it, says its quantity twice.
    if len(rest) == 2 and rest[0] == rest[1]:
        rest = rest[:1]
    for size in range(min(3, len(rest)), 0, -1):
        for chosen, others in ((rest[-size:], rest[:-size]), (rest[:size], rest[size:])):
            known = QUANTITIES.get(" ".join(chosen))
            if known is not None:
                return Parts(split, "_".join(others), known[0], known[1], level)
    return Parts(split, "_".join(rest), "", 0, level)


def known(name: str) -> bool:
    """Tell whether a name says where a row is, or is that of a quantity: what the heading of a log of training has."""
    return name.strip().lower() in PLACES or bool(RATES.match(name)) or bool(parts(name).quantity)


class Others:
    """What the names of a log are, asked of each of them: gone through once, so that a thousand names ask in turn."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take in all names of the log."""
        self.sums_up = False
        """Whether transformers' summary of a run is among them."""
        self.splits: set[str] = set()
        self._subsets: dict[tuple[str, str], set[str]] = {}
        """Quantity and split -> what stands between them: an evaluation set, a part of a loss, or nothing."""
        self._alike: dict[str, int] = {}
        """Quantity -> how many names have it."""
        self._pairs: dict[tuple[str, str], set[str]] = {}
        for name in names:
            known = parts(name)
            self.sums_up = self.sums_up or name in ("train_runtime", "train/train_runtime")
            self.splits.add(known.split)
            self._subsets.setdefault((known.quantity, known.split), set()).add(known.subset)
            self._alike[known.quantity] = self._alike.get(known.quantity, 0) + 1

    def has_valid(self, known: Parts) -> bool:
        """Tell whether a quantity without a split is that of training: Keras's `accuracy` beside `val_accuracy`."""
        return bool(known.quantity) and known.subset in self._subsets.get((known.quantity, "valid"), ())

    def stands_for_the_whole(self, known: Parts) -> bool:
        """Tell whether a subset's number is shown as that of the split: where no name is the whole's.

        Several evaluation sets are a choice, the first by default. The parts of a loss, which training and validation
        both have, are none, unless there is one only.
        """
        key = known.quantity, known.split
        own = self._subsets[key]
        if "" in own:
            return False
        if key not in self._pairs:
            other_split = "train" if known.split == "valid" else "valid"
            self._pairs[key] = own & self._subsets.get((known.quantity, other_split), set())
        pairs = self._pairs[key]
        return pairs == {known.subset} if pairs else known.split != "train" or self._alike[known.quantity] == 1


class Names:
    """The names of one log, as far as they have been seen, and what each means beside the others."""

    def __init__(self, wanted: Wanted = NOTHING_WANTED, *, rows_are_epochs: bool = False) -> None:
        """Take what a person says of the log, and whether each of its rows is the end of an epoch.

        Raises LogError for a metric of which nobody can say that less is better.
        """
        if wanted.metric and metric(wanted.metric).better != "low":
            raise LogError(f"--metric {wanted.metric}: must be one that is better when lower, such as loss, wer or mae")
        self._wanted = wanted
        self._rows_are_epochs = rows_are_epochs
        self._meanings: dict[str, Meaning] = {}
        self.full = False
        """Whether there were more names than are kept."""
        self.remarks: list[str] = []
        """What was chosen where there was a choice, a sentence each."""

    def see(self, names: Iterable[str]) -> bool:
        """Take in names, as many as are kept; False where one that was seen before now means something else."""
        news = list(dict.fromkeys(name for name in names if name not in self._meanings))
        room = MOST_NAMES - len(self._meanings)
        self.full = self.full or len(news) > room
        news = news[:room]
        if not news:
            return True
        before = dict(self._meanings)
        self._meanings = self._read([*before, *news])
        return all(self._meanings[name] == meaning for name, meaning in before.items())

    def __contains__(self, name: str) -> bool:
        """Tell whether a name is kept."""
        return name in self._meanings

    def __getitem__(self, name: str) -> Meaning:
        return self._meanings[name]

    @property
    def unpaired(self) -> str:
        """Say which names there are where none of them is a training or a validation loss; else nothing."""
        meant = {meaning.name for meaning in self._meanings.values()}
        measured = [name for name, meaning in self._meanings.items() if meaning.table in ("steps", "evaluations")]
        if not measured or STEP_LOSS in meant or VALID_LOSS in meant:
            return ""
        return f"no name is known as a loss: --valid NAME and --train NAME choose among {_some(measured)}"

    @property
    def missing(self) -> str:
        """Say which names were asked for that the log has not, and which it has; else nothing."""
        has = [name for name, meaning in self._meanings.items() if meaning.table in ("steps", "evaluations")]
        if not has:
            return ""
        wanted = self._wanted
        asked = {"--valid": wanted.valid, "--train": wanted.train, "--rate": wanted.rate}
        lacking = [f"{option} {name}" for option, name in asked.items() if name and name not in self._meanings]
        if wanted.metric and not any(parts(name).quantity == wanted.metric for name in has):
            lacking.append(f"--metric {wanted.metric}")
        return f"the log has nothing for {' and '.join(lacking)}; it has {_some(has)}" if lacking else ""

    def _read(self, names: list[str]) -> dict[str, Meaning]:
        """Give each name its meaning; of several that mean the same the first of the lowest rank stands."""
        self.remarks = []
        taken: dict[tuple[str, str], tuple[int, str]] = {}
        found: dict[str, Meaning] = {}
        others = Others(names)
        candidates = {name: self._alone(name, others) for name in names}
        for name, (meaning, rank) in candidates.items():
            key = (meaning.table, meaning.name)
            if meaning.table != "nothing" and (key not in taken or rank < taken[key][0]):
                taken[key] = (rank, name)
        for name, (meaning, _) in candidates.items():
            first = taken.get((meaning.table, meaning.name), (0, name))[1] == name
            found[name] = meaning if first or meaning.table in ("nothing", "place") else self._second(name)
        self._remark(found)
        return found

    def _alone(self, name: str, others: Others) -> tuple[Meaning, int]:
        """Say what a name means, and how strongly."""
        wanted = self._wanted
        said = {wanted.valid: VALID_LOSS, wanted.train: STEP_LOSS, wanted.rate: LEARNING_RATE}
        if name and name in said:
            return Meaning("evaluations" if said[name] == VALID_LOSS else self._table(name), said[name]), -1
        if name == MEASURED_TRAIN_LOSS:
            return Meaning("evaluations", TRAIN_LOSS), -1
        if name in RESERVED:
            return Meaning(self._table(name), f"log/{name}"), 0
        if name.strip().lower() in PLACES:
            return Meaning("place", PLACES[name.strip().lower()]), 0
        summary = others.sums_up and SUMMARY_LOSS.match(name)
        if summary or NO_SAMPLES.match(name):
            return Meaning("nothing", name), 0
        if RATES.match(name):
            return Meaning(self._table(name), LEARNING_RATE), 0
        known = parts(name)
        if wanted.metric not in ("", "loss") and known.quantity == "loss":
            # Something else stands where the loss does: nothing of another unit is drawn beside it.
            return Meaning(self._table(name), name), 0
        quantity = "loss" if known.quantity == (wanted.metric or "loss") else known.quantity
        split = known.split or ("train" if quantity == "loss" or others.has_valid(known) else "")
        if split == "test" and "valid" not in others.splits:
            split = "valid"
        if not quantity or not split or split == "test" or (split == "valid" and known.level == "step"):
            return Meaning(self._table(name), name), 0
        if known.subset and not others.stands_for_the_whole(known):
            return Meaning(self._table(name), f"{split}/{known.subset}_{known.quantity}"), known.rank
        if split == "train" and quantity == "loss":
            return Meaning(self._table(name), STEP_LOSS), known.rank + (10 if known.subset else 0)
        return Meaning(self._table(name), f"{split}/{quantity}"), known.rank + (10 if known.subset else 0)

    def _table(self, name: str) -> Literal["steps", "evaluations"]:
        """Say with what a name is recorded: a split other than training, and an epoch's mean, are evaluated."""
        known = parts(name)
        evaluated = known.split in ("valid", "test") and known.level != "step"
        return "evaluations" if self._rows_are_epochs or evaluated or known.level == "epoch" else "steps"

    def _second(self, name: str) -> Meaning:
        """Name what means the same as another name, which has its place."""
        known = parts(name)
        split = "valid" if known.split == "test" else known.split
        own = f"{split}/{known.subset}_{known.quantity}" if split and known.subset and known.quantity else name
        return Meaning(self._table(name), own)

    def _remark(self, found: dict[str, Meaning]) -> None:
        chosen = next((name for name, meaning in found.items() if meaning.name == VALID_LOSS), None)
        if chosen is None:
            valid = [name for name in found if parts(name).split == "valid" and found[name].table == "evaluations"]
            if valid:
                self.remarks.append(f"no name is known as a validation loss; --valid NAME takes one of {_some(valid)}")
            return
        if chosen == self._wanted.valid:
            return
        if self._wanted.metric not in ("", "loss"):
            self.remarks.append(f"{self._wanted.metric} is shown and judged in the place of the loss")
        known = parts(chosen)
        others = [
            name
            for name in found
            if name != chosen and parts(name).quantity == known.quantity and parts(name).split == known.split
        ]
        if known.subset and others:
            self.remarks.append(
                f"validation is {chosen}, the first of several sets; --valid NAME takes another: {_some(others)}"
            )
        elif known.split == "test":
            self.remarks.append(f"validation is {chosen}: the log has no other split than the test split")


def _some(names: list[str]) -> str:
    """List names, the first dozen of them."""
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
