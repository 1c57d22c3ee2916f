"""The two designed themes, dark and light, and how each role of a span looks in them.

Validation, training and rate are told apart by lightness first and by hue second, along blue and orange, the
axis that nearly every colour-blind person sees: on the dark theme validation is the lightest, then training,
then the rate; on the light theme the darkest comes first. States use a word and a sign beside their colour.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.style import Style
from textual.theme import Theme

DARK = Theme(
    name="regtui-dark",
    dark=True,
    primary="#7aa7d9",
    secondary="#5c7ea3",
    accent="#ffc66d",
    foreground="#d4d9e0",
    background="#11151b",
    surface="#171c24",
    panel="#1e252f",
    success="#6cc0a0",
    warning="#e8b04c",
    error="#ff7f5c",
    variables={
        "valid": "#ffd082",
        "train": "#6ba8e5",
        "running": "#41658f",
        "rate": "#8d6bb4",
        "penalty": "#8c7a5b",
        "ghost": "#a08f6c",
        "gap": "#ff9e64",
        "rule": "#566072",
        "axis": "#5d6878",
        "label": "#8a95a5",
        "muted": "#7d8898",
        "faint": "#3a4350",
        "tint": "#2a1d1a",
        "line": "#2a323e",
        "field": "#1c232d",
        "field-focus": "#263243",
        "strong": "#f3f6fa",
        "norm-1": "#9fc3ea",
        "norm-2": "#c9a86b",
        "norm-3": "#8f7fb5",
        "norm-4": "#6f9c8b",
        "block-cursor-foreground": "#11151b",
        "block-cursor-background": "#7aa7d9",
        "input-cursor-background": "#d4d9e0",
        "input-cursor-foreground": "#11151b",
        "input-selection-background": "#7aa7d9 30%",
        "scrollbar": "#2a323e",
        "scrollbar-hover": "#3a4554",
        "scrollbar-active": "#566072",
        "scrollbar-background": "#11151b",
        "scrollbar-background-hover": "#11151b",
        "scrollbar-background-active": "#11151b",
        "scrollbar-corner-color": "#11151b",
    },
)

LIGHT = Theme(
    name="regtui-light",
    dark=False,
    primary="#2f6aa3",
    secondary="#5d84ab",
    accent="#8a4300",
    foreground="#2b3038",
    background="#fbfaf7",
    surface="#f4f2ed",
    panel="#eceae3",
    success="#1e7a5c",
    warning="#8a5a00",
    error="#b23510",
    variables={
        "valid": "#6b2f00",
        "train": "#1c68ad",
        "running": "#8fb2d6",
        "rate": "#8c79b4",
        "penalty": "#a08c63",
        "ghost": "#94793f",
        "gap": "#b5521b",
        "rule": "#a3a9b3",
        "axis": "#9aa1ab",
        "label": "#666e79",
        "muted": "#6a727d",
        "faint": "#d2d2cc",
        "tint": "#fae8df",
        "line": "#dddbd3",
        "field": "#e9e7e0",
        "field-focus": "#d3dfec",
        "strong": "#10141a",
        "norm-1": "#1d5a96",
        "norm-2": "#9a6b1a",
        "norm-3": "#7d63ab",
        "norm-4": "#3f806b",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-background": "#2f6aa3",
        "input-cursor-background": "#2b3038",
        "input-cursor-foreground": "#fbfaf7",
        "input-selection-background": "#2f6aa3 25%",
        "scrollbar": "#d2d2cc",
        "scrollbar-hover": "#b9bcc0",
        "scrollbar-active": "#a3a9b3",
        "scrollbar-background": "#fbfaf7",
        "scrollbar-background-hover": "#fbfaf7",
        "scrollbar-background-active": "#fbfaf7",
        "scrollbar-corner-color": "#fbfaf7",
    },
)

_SIXTEEN = {
    DARK.name: {
        "#000000": "background surface panel tint field block-cursor-foreground input-cursor-foreground "
        "scrollbar-background scrollbar-background-hover scrollbar-background-active scrollbar-corner-color",
        "#e5e5e5": "foreground label input-cursor-background",
        "#ffffff": "strong",
        "#7f7f7f": "muted ghost rule axis line faint scrollbar scrollbar-hover scrollbar-active",
        "#0000ee": "field-focus input-selection-background",
        "#00cdcd": "primary secondary train block-cursor-background norm-1",
        "#5c5cff": "running",
        "#cd00cd": "rate norm-3",
        "#ff00ff": "gap",
        "#00cd00": "success norm-4",
        "#cdcd00": "warning penalty norm-2",
        "#ffff00": "valid accent",
        "#ff0000": "error",
    },
    LIGHT.name: {
        "#ffffff": "background surface block-cursor-foreground input-cursor-foreground "
        "scrollbar-background scrollbar-background-hover scrollbar-background-active scrollbar-corner-color",
        "#e5e5e5": "panel tint field faint line scrollbar",
        "#7f7f7f": "muted label ghost rule axis penalty norm-4 scrollbar-hover scrollbar-active",
        "#000000": "foreground strong valid input-cursor-background",
        "#00ffff": "field-focus input-selection-background",
        "#00cdcd": "running",
        "#0000ee": "primary secondary train success block-cursor-background norm-1",
        "#cd00cd": "rate warning norm-3",
        "#cd0000": "gap error accent norm-2",
    },
}
"""Where there are sixteen colours: which of them each name of a theme has, as nothing can be near enough by itself."""

CHOICES = ("auto", "dark", "light")
"""What can be asked for; auto goes by what the terminal says of itself."""


def themes(colour_system: str | None) -> dict[str, Theme]:
    """Give the two themes by choice, for a terminal of some colour system as Rich calls them."""
    found = {"dark": DARK, "light": LIGHT}
    return {choice: _of_sixteen(theme) for choice, theme in found.items()} if colour_system == "standard" else found


def _of_sixteen(theme: Theme) -> Theme:
    colours = {name: colour for colour, names in _SIXTEEN[theme.name].items() for name in names.split()}
    own: dict[str, Any] = {name: colours[name] for name in colours if name not in theme.variables}
    return replace(theme, **own, variables={name: colours[name] for name in theme.variables})


def ground_of(terminal: str) -> str:
    """Say what lies behind the text by COLORFGBG, `text;ground` in numbers of the sixteen colours; dark if unknown.

    The terminal is not asked (OSC 11): over a slow line its answer would come as keys, into a field.
    """
    ground = terminal.rpartition(";")[2]
    return "light" if ground in {"7", *map(str, range(9, 16))} else "dark"


ROLE_STYLES: Mapping[str, str] = {
    # Around the curves
    "text": "foreground",
    "strong": "strong bold",
    "muted": "muted",
    "heading": "primary",
    "key": "primary bold",
    "good": "success bold",
    "bad": "error bold",
    "warn": "warning bold",
    "calm": "primary",
    "live": "success",
    "done": "primary",
    "left": "faint",
    "chip-good": "background bold on success",
    "chip-bad": "background bold on error",
    "chip-warn": "background bold on warning",
    "chip-calm": "background bold on primary",
    # The roles of charts.ROLES
    "valid": "valid bold",
    "best": "valid bold",
    "beyond": "label",
    "train": "train",
    "running": "running",
    "raw": "running",
    "penalty": "penalty",
    "ghost": "ghost",
    "rate": "rate",
    "future": "rate dim",
    "gap": "gap bold",
    "norm1": "norm-1 bold",
    "norm2": "norm-2",
    "norm3": "norm-3",
    "norm4": "norm-4",
    "zero": "axis",
    "axis": "axis",
    "rule": "rule",
    "rule-user": "strong",
    "cursor": "strong",
    "overfit": "error bold",
    "title": "label",
    "label": "label",
    "hint": "muted",
    "blank": "foreground",
}
"""Role -> theme variable of its colour, with `bold`, `dim` and `on` a variable for its ground.

A table and not component classes: Textual would match 40 of them against the stylesheet for each widget, which took
seconds.
"""


def role_style(role: str, variables: Mapping[str, str], *, tinted: bool = False) -> Style:
    """Give a role's style in the theme that these variables are of; a role that is not known looks like text."""
    look, _, ground = ROLE_STYLES.get(role, "foreground").partition(" on ")
    colour, *weights = look.split()
    ground = "tint" if tinted and not ground else ground
    return Style(
        color=variables[colour],
        bgcolor=variables[ground] if ground else None,
        bold="bold" in weights or None,
        dim="dim" in weights or None,
    )
