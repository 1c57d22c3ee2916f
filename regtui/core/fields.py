"""What a field of the configuration is: its name on screen, its range, and how it is read and written as text."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from regtui.core.text import printable

Kind = Literal["choice", "integer", "number", "widths", "text", "flag"]
Group = Literal["run", "data", "model", "optimizer", "regularization", "policy", "device"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a person and a parser need to know of one field of the configuration."""

    label: str
    """Its name on screen."""
    hint: str
    """One line: what it does."""
    kind: Kind
    """How it is entered."""
    group: Group
    """Where it stands in the form and in the help."""
    choices: tuple[str, ...] = ()
    """All that is allowed, for a choice of fixed names."""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    optional: bool = False
    """May be left empty."""
    empty: str = "none"
    """What an empty value means, in a word."""
    live: bool = False
    """Can be turned while a run lives."""
    name: str = ""
    """The field's name in the configuration and the log; filled in by `fields`."""
    default: Any = None
    """Its default where no preset and no policy says otherwise; filled in by `fields`."""

    @property
    def option(self) -> str:
        """Its option on the command line."""
        return "--" + self.name.replace("_", "-")

    def range_text(self) -> str:
        """Say what is allowed, as the end of a sentence: 'a number from 0 to below 1'."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "widths":
            limit = "" if self.at_most is None else f" to {self.at_most:.15g}"
            return f"whole numbers from 1{limit} with commas between, such as 200,100"
        if self.kind == "flag":
            return "yes or no"
        noun = {"integer": "a whole number", "number": "a number"}.get(self.kind, "a text")
        low = f"above {self.above:.15g}" if self.above is not None else None
        low = f"of at least {self.at_least:.15g}" if self.at_least is not None else low
        high = f"below {self.below:.15g}" if self.below is not None else None
        high = f"at most {self.at_most:.15g}" if self.at_most is not None else high
        return " ".join([noun, *[" and ".join(part for part in (low, high) if part)]]).strip()


class ConfigError(ValueError):
    """A field of the configuration has a value that cannot be run; `field` names it, `problem` says why."""

    def __init__(self, field: str, problem: str) -> None:
        """Keep the field's name apart from the sentence, so that a form can show one beside the other.

        The sentence may quote what was typed, a path, or a cell of a table: it goes through the gate here.
        """
        self.field = field
        self.problem = printable(problem)
        super().__init__(f"--{printable(field).replace('_', '-')} {self.problem}")


LONGEST_QUOTE = 30
"""Characters of a typed number that a sentence repeats; a longer one says nothing that a person reads."""

_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("", "0", "false", "no", "off"), False)


def parse(field: Field, text: str) -> Any:
    """Read a field's value as a person typed it; raises ConfigError with what would be right."""
    text = text.strip()
    if not text and field.optional:
        return None
    try:
        match field.kind:
            case "integer":
                value: Any = int(text.replace("_", ""))
            case "number":
                value = float(text)
            case "widths":
                value = tuple(int(part) for part in text.split(",")) if text else ()
            case "flag":
                value = _FLAGS[text.lower()]
            case _:
                value = text
    except (ValueError, KeyError):
        raise ConfigError(field.name, f"must be {field.range_text()}, not '{text}'") from None
    if field.kind == "text" and text != printable(text):
        raise ConfigError(field.name, f"must be a name without control codes or invisible signs, not {text}")
    check(field, value, typed=text)
    return value


def unparse(field: Field, value: Any) -> str:
    """Write a field's value as a person would type it; the inverse of `parse`."""
    if value is None:
        return ""
    if field.kind == "widths":
        return ",".join(str(width) for width in value)
    if field.kind == "number":
        short = f"{value:.10g}"
        text = short if float(short) == value else repr(float(value))
        return text.replace("e-0", "e-").replace("e+0", "e+")
    return str(value)


def check(field: Field, value: Any, *, typed: str = "") -> None:
    """Raise ConfigError when a value lies outside of what its field allows; `typed` is how a person wrote it."""
    if value is None and field.optional:
        return
    if field.kind == "text":
        if not isinstance(value, str) or not value:
            raise ConfigError(field.name, f"must be named: {field.hint}")
    elif not _is_allowed(field, value):
        raise ConfigError(field.name, f"must be {field.range_text()}, not {_shown(value, typed)}")


def _is_allowed(field: Field, value: Any) -> bool:
    """Tell whether a value lies within what its field allows; nothing is put into words, since nearly all do."""
    match field.kind:
        case "choice":
            return value in field.choices
        case "flag":
            return isinstance(value, bool)
        case "widths":
            return isinstance(value, tuple | list) and all(
                isinstance(width, int) and not isinstance(width, bool) and 1 <= width <= (field.at_most or width)
                for width in value
            )
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and not _outside(field, value)
        case "number":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return (
                is_number and not (isinstance(value, float) and not math.isfinite(value)) and not _outside(field, value)
            )
        case "text":
            return isinstance(value, str)


def _outside(field: Field, value: float) -> bool:
    return (
        (field.at_least is not None and value < field.at_least)
        or (field.above is not None and value <= field.above)
        or (field.at_most is not None and value > field.at_most)
        or (field.below is not None and value >= field.below)
    )


def _shown(value: Any, typed: str) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    if 0 < len(typed) <= LONGEST_QUOTE:
        return typed
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    # Python refuses to write out an integer of thousands of digits.
    return "a number of that size" if isinstance(value, int) and abs(value) > 10**LONGEST_QUOTE else str(value)
