"""How numbers, causes and texts from outside are written for people: one way each, on screen and in sentences."""

import math
import re
import time
import unicodedata

MISSING = "—"
"""In the place of a number that there is not."""

LONGEST_TEXT = 4096
"""Characters of one text from outside: as long as the longest path, some fifty rows of a screen. What is longer was
written for no reader, and 4 MB of it would take the room of everything else."""

KEPT_END = 512
"""Characters that stay at the end of a text that is shortened: what was wrong with the path at its start."""

MOST_MARKS = 4
"""Marks that may stand at one letter: Burmese has up to four; a tower of them runs over the lines above."""

INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\U0001d159") | frozenset(
    map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)])
)
"""Signs that Python calls printable and that show nothing: fillers, joiners and variants of the sign before."""

EMOJI_STYLE = dict.fromkeys((0xFE0E, 0xFE0F))
"""Whether a sign is drawn as text or in colours, on which terminals do not agree: left out, nobody misses it."""

BRAILLE_BLANK = "\u2800"
"""A sign without a dot: blank, though no space to Python."""

SEQUENCES = re.compile(
    r"(?:\x1b[P\]X^_]|[\x90\x98\x9d-\x9f]).*?(?:\x1b\\|\x07|\x9c|$)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
"""What a terminal obeys and does not show: strings with their end, control sequences, and the rest after an escape."""
LONGEST_SECONDS = 1e10
"""Three centuries: a longer time is a clock that was wrong, or none."""


def number(value: float) -> str:
    """Write what was measured: 0.283, 2.303, 26.0, 0.0164, 1.23e-5; three decimals where losses usually lie.

    From 0.1 to 10 the decimals are fixed, so that two epochs of one run can be compared digit by digit; elsewhere
    three digits are told.
    """
    if not math.isfinite(value):
        return MISSING
    size = abs(value)
    if 0.0999995 <= size < 9.9995:
        return f"{value:.3f}"
    if 9.9995 <= size < 99999.5:
        # Trailing zeros are digits that were measured, too: 26.0 stands beside 26.3.
        return f"{value:.{1 if size < 99.95 else 0}f}"
    return short(value)


def short(value: float, digits: int = 3) -> str:
    """Write what was set, without zeros at its end: 0.4, 0.003, 200, 1e-7; also the numbers along an axis."""
    if not math.isfinite(value):
        return MISSING
    mantissa, exponent, power = f"{value:.{digits}g}".partition("e")
    if not exponent:
        return mantissa
    if 0 < int(power) < 5:
        return f"{value:.0f}"
    return f"{mantissa}e{int(power)}"


def signed(value: float) -> str:
    """Write a difference, its sign always told: +0.538, -0.00638."""
    return f"{'+' if value >= 0 else ''}{number(value)}" if math.isfinite(value) else MISSING


def cells(value: float, width: int, *, sign: bool = False) -> str:
    """Write what was measured in a fixed number of cells, so that it keeps its place while it changes.

    Four decimals where they fit, one more than a sentence quotes, also of small numbers: a column of them is compared
    digit by digit.
    """
    if math.isfinite(value) and (value == 0 or 1e-3 <= abs(value) < 9.99995):
        fixed = f"{value:+.4f}" if sign else f"{value:.4f}"
        if len(fixed) <= width:
            return f"{fixed:>{width}}"
    return f"{signed(value) if sign else number(value):>{width}}"


def clock(seconds: float | None) -> str:
    """Write a duration as a clock does: 0:07, 12:30, 1:00:05."""
    if seconds is None or not 0 <= seconds + 0.5 < LONGEST_SECONDS:
        return MISSING
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_of_day(seconds: float | None) -> str:
    """Write when something happened, seconds since the epoch of Unix, as a clock showed it; empty for no such time."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(seconds)) if seconds else ""
    except (OverflowError, ValueError, OSError):  # which one depends on the system and on how far off it is
        return ""


def who(cause: str) -> str:
    """Say who caused a change: the policy's own word, or 'by hand', whoever's hand it was."""
    return "by hand" if cause == "user" else cause


def printable(text: str) -> str:
    """Write a text from outside in signs that stay where they are put: the one gate to a terminal.

    Line breaks, tabs and odd spaces become blanks. What is no sign to be read (control codes, marks of direction, what
    has no width, half a surrogate pair, what Unicode does not know) becomes its escape, such as `\\x1b`. A text that is
    already printable is given back itself.
    """
    # Its length first: a text of megabytes is looked at no further than it is kept.
    if len(text) <= LONGEST_TEXT and text.isascii() and text.isprintable():
        return text
    signs, room = [], 0
    for sign in shortened(text).translate(EMOJI_STYLE):
        if sign.isspace() or sign == BRAILLE_BLANK:
            shown, room = " ", 0
        elif sign.isprintable() and sign not in INVISIBLE and (room or not _is_mark(sign)):
            shown, room = sign, room - 1 if _is_mark(sign) else MOST_MARKS
        else:
            # What follows an escape would be drawn upon its last letter.
            shown, room = sign.encode("unicode_escape").decode(), 0
        signs.append(shown)
    written = shortened("".join(signs))
    return text if written == text else written


def shortened(text: str, most: int = LONGEST_TEXT) -> str:
    """Cut a text to so many characters, with an ellipsis for what is missing: of a sentence the end says why."""
    return text if len(text) <= most else text[: most - KEPT_END - 1] + "…" + text[-KEPT_END:]


def beginning(text: str, most: int) -> str:
    """Cut a text to its first so many characters, with an ellipsis for what is missing."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _is_mark(sign: str) -> bool:
    """Tell whether a sign is drawn on the one before it: an accent, or the later parts of a Hangul syllable."""
    part_of_syllable = "\u1161" <= sign <= "\u11ff" or "\ud7b0" <= sign <= "\ud7fb"
    return sign.isprintable() and (part_of_syllable or unicodedata.category(sign).startswith("M"))


def as_on_terminal(printed: str) -> str:
    """Give what is left on a terminal of a line that a program printed: a progress bar's last state, no colours."""
    line = SEQUENCES.sub("", printed).replace("\b", "").rstrip()
    return printable(line[line.rfind("\r") + 1 :]).strip()


def plain(text: str) -> str:
    """Write a text in ASCII, sign for sign, for `--ascii`."""
    return text.translate(PLAIN).encode("ascii", "replace").decode("ascii")


PLAIN = str.maketrans({
    "×": "x", "÷": "/", "−": "-", "–": "-", "—": "-", "…": "~", "·": "-", "→": ">", "←": "<", "↑": "^", "↓": "v",
    "●": "@", "○": "o", "◌": ".", "◆": "*", "◇": "?", "‖": "=", "■": "#", "✓": "+", "✗": "x", "▲": "!", "▼": "v",
    "▴": "^", "▾": "v", "▸": ">", "│": "|", "─": "-", "━": "=", "╸": "=", "╺": "-", "├": "+", "┤": "+", "┬": "+",
    "┼": "+", "└": "+", "┊": ":", "╷": "'", "┈": "-", "▏": "|", "‘": "'", "’": "'", "“": '"', "”": '"', "≤": "<",
    "≥": ">", "≈": "~", "±": "~", "∞": "8", "²": "2", "Δ": "d", "µ": "u", "∑": "S",
})  # fmt: skip
"""Sign -> the one ASCII character that stands for it wherever the terminal has no others; widths stay the same."""
