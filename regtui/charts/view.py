"""What a chart is asked for and what it gives back: View, Span, StyledLine, and the roles of its signs."""

import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple

from regtui.core.history import History

Zoom = Literal["all", "half", "tenth"]
"""All of the planned run, or the last half or tenth of what has been seen."""

SMOOTHING = 0.9
"""The weight of the exponential mean when smoothing is switched on without naming one."""


class Span(NamedTuple):
    """Some cells of one line that look alike."""

    text: str
    """One cell a character."""
    role: str
    """What these signs are: a key of ROLES, never a colour."""
    tinted: bool = False
    """Whether they stand on the ground that marks overfitting."""


StyledLine = tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """How a run is to be looked at."""

    zoom: Zoom = "all"
    """Which part of the x axis."""
    log_y: bool = False
    """Whether the loss strip is logarithmic."""
    smoothing: float = 0.0
    """Weight of the debiased exponential mean; 0 is off, 1 (or True) stands for SMOOTHING."""
    cursor: int | None = None
    """The row of the table of evaluations under the cursor."""
    ascii: bool = False
    """Whether only ASCII signs may be used."""
    strips: tuple[str, ...] = ("loss", "rate")
    """The strips from top to bottom; those that do not fit are left out from the end."""
    ghost: History | None = None
    """An earlier run whose validation loss stays behind this one's."""
    show_penalty: bool = False
    """Whether the penalty is drawn in the loss strip."""
    overfit_since: float | None = None
    """The step from which on the analysis says overfitting: what comes after it is tinted."""

    @property
    def weight(self) -> float:
        """The weight of the mean that is meant, 0 when off."""
        if not self.smoothing > 0:
            return 0.0
        return SMOOTHING if self.smoothing >= 1 else float(self.smoothing)


ROLES: dict[str, str] = {
    "valid": "validation loss: measured after each epoch on rows the net never learns from",
    "train": "training loss: measured after each epoch on the rows it learns from, dropout off, no penalty",
    "running": "training loss as it runs: lowest and highest batch loss of each column, dropout on",
    "raw": "the values as measured, behind their smoothed curve",
    "penalty": "penalty: what L2 and L1 add to the loss that is minimised",
    "ghost": "the previous run's validation loss, at the same epochs",
    "rate": "learning rate used for each update",
    "future": "learning rate that the policy plans from here on",
    "gap": "gap: validation loss minus training loss, both measured after the epoch",
    "zero": "the zero line of the gap: above it, unseen rows are predicted worse than learned ones",
    "norm1": "weight norm of the first layer: the length of its kernel, which L2 holds back",
    "norm2": "weight norm of the second layer",
    "norm3": "weight norm of the third layer",
    "norm4": "weight norm of the fourth layer; further layers begin again with the first sign",
    "beyond": "a value above the axis, or below it, such as the start of a run or a spike: a log axis has room for it",
    "best": "the epoch with the lowest validation loss, and that loss",
    "overfit": "the epochs after the best one, while the run overfits",
    "rule": "a discrete change by the learning-rate policy, with what it did",
    "rule-user": "a knob turned by hand, with what it did",
    "cursor": "what is under the cursor",
    "title": "name and unit of a strip",
    "axis": "axis lines",
    "label": "numbers along the axes",
    "hint": "what is missing, and why",
    "blank": "nothing here",
}
"""Role -> one sentence for a student."""

STYLES: dict[str, str] = {
    "valid": "bold bright_yellow",
    "train": "cyan",
    "running": "blue",
    "raw": "bright_black",
    "penalty": "magenta",
    "ghost": "bright_black",
    "rate": "bright_magenta",
    "future": "magenta",
    "gap": "bold bright_yellow",
    "zero": "bright_black",
    "norm1": "bold bright_cyan",
    "norm2": "cyan",
    "norm3": "bright_blue",
    "norm4": "blue",
    "beyond": "bright_white",
    "best": "bold bright_white",
    "overfit": "bold bright_red",
    "rule": "bright_black",
    "rule-user": "bright_white",
    "cursor": "bright_white",
    "title": "bold",
    "axis": "bright_black",
    "label": "",
    "hint": "italic",
    "blank": "",
}
"""Role -> one of the 16 ANSI colours, with bold where the sign is strong.

Yellow, cyan and blue fall in lightness in this order, so that they differ without their hue too: yellow against
blue is the pair that people with any common colour blindness tell apart.
"""


@dataclass(frozen=True)
class Glyphs:
    """The signs that are not letters, digits or dots of a curve."""

    horizontal: str
    rule: str
    rule_tick: str
    cursor: str
    best: str
    over: str
    under: str
    times: str
    divide: str


UNICODE = Glyphs(
    horizontal="─", rule="┊", rule_tick="╷", cursor="│", best="●", over="▴", under="▾", times="×", divide="÷"
)

ASCII = Glyphs(
    horizontal="-", rule=":", rule_tick="'", cursor="|", best="@", over="^", under="v", times="x", divide="/"
)


def glyphs(ascii_only: bool = False) -> Glyphs:
    """Give the signs that charts and panels draw with."""
    return ASCII if ascii_only else UNICODE


SINGLE = frozenset("−–—×÷…·→←↑↓●▴▾│─├┤┬┼└┊╷┈‘’“”≤≥≈∞")
"""Signs beyond U+1100 that texts use and that take one cell; most others there take two."""


def narrow(text: str) -> str:
    """Replace what does not take exactly one cell, such as a line break or a wide sign in a layer's name."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if _is_narrow(sign) else "?" for sign in text)


def _is_narrow(sign: str) -> bool:
    if ord(sign) < 0x1100:
        return sign.isprintable() and not unicodedata.category(sign).startswith("M")
    return sign in SINGLE or 0x2800 <= ord(sign) <= 0x28FF
