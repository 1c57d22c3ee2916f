"""The configuration form: made from `core.config.fields()`, it gives a checked RunConfig or says what is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Button

from regtui import backends, datasets
from regtui.charts.wrap import wrap
from regtui.core.config import (
    ConfigError,
    Field,
    RunConfig,
    fields,
    parse,
    policy_defaults,
    policy_fields,
    policy_only_fields,
    unparse,
)
from regtui.core.events import Changed as Change
from regtui.core.presets import PRESETS
from regtui.tui.canvas import clip, plain, span
from regtui.tui.entry import Choice, Edited, Editor, Entry, Item, Submitted
from regtui.tui.knobs import Knobs
from regtui.tui.rows import FieldRow, Heading, Hint

RUNS_IN = "runs_in"
"""Where a run trains: no field of its configuration, since it changes nothing of what is trained."""

HERE, ELSEWHERE = "this app", "its own process"

START, STOP = "▸ Start", "■ Stop"
"""What the button says, before a run and while one lives."""

CUSTOM = "custom"
"""Shown as preset when the fields are no preset's."""

TWO_COLUMNS = 68
"""Cells from which two columns of fields stand side by side: 17 for a label and 14 for a value in each, and margins."""

HIGH = 16
"""Rows from which the fields leave room for a rule and a second row of the hint; there are 7 around them at least."""

SECTIONS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "what": (("Data and model", ("data", "model")), ("Optimizer", ("optimizer",))),
    "remedies": (("Regularisation", ("regularization",)), ("Learning rate", ("policy",))),
    "how": (("Run", ("run", "device")),),
}
"""Block of the form -> its headings and the groups of fields under each."""

NOTED: Mapping[str, str] = {
    "preset": "a named starting point: fills the fields below",
    RUNS_IN: "where it trains: a process of its own outlives this app, the terminal and the line",
}
"""Hints of what is no field of a configuration."""

KEPT_BY_PRESETS = ("framework", "device", "seed", "precision")
"""Fields that a preset leaves as they are."""


class Form(Vertical):
    """All fields of a run; keeps no run state beyond what was typed."""

    class Changed(Message):
        """The fields now make this configuration, or none."""

        def __init__(self, config: RunConfig | None) -> None:
            super().__init__()
            self.config = config

    class Turned(Message):
        """A knob was given a new value while a run lives."""

        def __init__(self, knob: str, value: float) -> None:
            super().__init__()
            self.knob = knob
            self.value = value

    class Pressed(Message):
        """The button was pressed: start, or stop while a run lives."""

    def __init__(self, config: RunConfig, *, detached: bool | None = None) -> None:
        """Show a configuration; `detached` says whether runs have their own process, None where none is started."""
        super().__init__(id="form")
        self.config: RunConfig | None = config
        self.problems: dict[str, str] = {}
        self._locked = self._read_only = False
        self._knobs = Knobs()
        self._refused: dict[str, str] = {}
        """What a start was refused for, which stands until something is edited."""
        self._rows: dict[str, FieldRow] = {}
        frameworks = [
            Item(
                name, "" if backends.is_installed(name) else backends.install_command(name), backends.is_installed(name)
            )
            for name in backends.names()
        ]
        self._add("preset", "Preset", Choice("preset", matching_preset(config), [Item(name) for name in PRESETS]))
        self._frameworks = frameworks
        used = policy_fields(config.lr_policy)
        for field in fields().values():
            if field.name in used or field.name not in policy_only_fields():
                self._add(field.name, field.label, self._editor(field, _shown(field, getattr(config, field.name))))
        if detached is not None:
            place = ELSEWHERE if detached else HERE
            self._add(RUNS_IN, "Runs in", Choice(RUNS_IN, place, [Item(HERE), Item(ELSEWHERE)]))

    def _add(self, name: str, label: str, editor: Editor) -> None:
        self._rows[name] = FieldRow(label, editor)

    def _editor(self, field: Field, text: str) -> Editor:
        if field.name == "framework":
            return Choice(field.name, text, self._frameworks)
        if field.kind == "flag":
            return Choice(field.name, text, [Item("off"), Item("on")])
        if field.kind == "choice":
            return Choice(field.name, text, [Item(choice) for choice in field.choices])
        known = [Item(name) for name in datasets.NAMES] if field.name == "dataset" else []
        return Entry(field.name, text, suggestions=known, any_text=field.kind == "text")

    def _put(self, name: str, value: Any) -> None:
        """Set a field, making its row where no policy needed it so far."""
        field = fields()[name]
        if name in self._rows:
            self._rows[name].editor.set_text(_shown(field, value))
        elif value is not None:
            self._add(name, field.label, self._editor(field, _shown(field, value)))
            self.query_one("#block-remedies").mount(self._rows[name], before="#row-warmup")

    def compose(self) -> ComposeResult:
        """Lay the rows out in blocks that stand side by side or one under the other."""
        with VerticalScroll(id="fields", can_focus=False), Container(id="blocks"):
            for block, sections in SECTIONS.items():
                with Vertical(id=f"block-{block}", classes="block"):
                    if block == "what":
                        yield self._rows["preset"]
                        yield self._rows["framework"]
                    for title, groups in sections:
                        yield Heading(title)
                        yield from self._rows_of(groups)
                    if block == "how" and RUNS_IN in self._rows:
                        yield self._rows[RUNS_IN]
        with Container(id="form-foot"):
            yield Hint(self._show_hint)
            yield Button(plain(START, self.app), id="go", compact=True)

    def _rows_of(self, groups: tuple[str, ...]) -> Iterator[FieldRow]:
        """Give the rows of some groups; those of a policy are mounted when it is chosen: half of them never are."""
        names = [name for name, field in fields().items() if field.group in groups and name != "framework"]
        if "policy" in groups:
            names = ["lr_policy", *policy_fields(self._rows["lr_policy"].editor.value), "warmup"]
        return (self._rows[name] for name in names)

    def on_mount(self) -> None:
        self._check()

    def fill(self, config: RunConfig) -> None:
        for name in fields():
            self._put(name, getattr(config, name))
        self._order_policy(config.lr_policy)
        self._check()

    @property
    def detached(self) -> bool:
        """Whether the next run is to have a process of its own."""
        return RUNS_IN in self._rows and self._rows[RUNS_IN].editor.value == ELSEWHERE

    def move_run(self) -> None:
        """Let the next run train in the other place."""
        self._rows[RUNS_IN].editor.set_text(HERE if self.detached else ELSEWHERE)

    def focus_first(self) -> None:
        self._rows["preset"].editor.focus()

    def focus_problem(self) -> None:
        """Go to the first field that cannot be run."""
        for name in self.problems:
            if name in self._rows:
                self._rows[name].editor.focus()
                return

    def hold(self, locked: bool, *, read_only: bool = False) -> None:
        """Hold the fields that cannot change while a run lives, or all of a run that is only watched."""
        self._locked, self._read_only, self._refused = locked, read_only, {}
        for name, text in ({} if locked else self._knobs.end()).items():
            self._rows[name].editor.set_text(text)
        if locked:
            self._knobs.begin({name: row.editor.value for name, row in self._rows.items() if name in fields()})
        for name, row in self._rows.items():
            live = name in fields() and fields()[name].live and not read_only
            row.editor.locked = locked and not live
            row.set_class(row.editor.locked, "-locked")
            row.draw()
        button = self.query_one("#go", Button)
        button.label = plain(STOP if locked else START, self.app)
        button.display = not read_only
        self._review()

    def follow(self, changes: Sequence[Change]) -> None:
        """Show what the run has told of its knobs; what is being typed stays."""
        for change in changes:
            editor = self._rows[change.what].editor if change.what in self._rows else None
            if editor is not None and (text := self._knobs.follow(change, editor.value)) is not None:
                editor.set_text(text)
        self._review()

    def give_back(self) -> bool:
        """Put what is in force into the focused field; tells whether it said anything else."""
        name = self._focused_field()
        text = self._knobs.in_force(name)
        if text is None or not self._knobs.is_pending(name, self._rows[name].editor.value):
            return False
        self._rows[name].editor.set_text(text)
        self._review()
        return True

    def unsend(self, field: str) -> None:
        """Take note that a knob's value did not come to the run."""
        self._knobs.unsend(field)
        self._show_hint()

    def refuse(self, field: str, problem: str) -> None:
        """Go to a field that a run could not be started with, and say why beside it."""
        self._refused = {field: problem}
        self._check()
        if field in self._rows:
            self._rows[field].editor.focus()

    @on(Button.Pressed)
    def press(self, message: Button.Pressed) -> None:
        message.stop()
        self.post_message(self.Pressed())

    @on(Edited)
    def take(self, message: Edited) -> None:
        """Follow an edit: fill in what depends on it, check all, tell the screen."""
        message.stop()
        self._refused = {}
        if message.field == "preset":
            kept = {name: self._value(name) for name in KEPT_BY_PRESETS}
            given = {name: value for name, value in kept.items() if not isinstance(value, ConfigError)}
            self.fill(RunConfig.create(message.text, **given))
        elif message.field in {"lr_policy", "plateau_per", "plateau_rule"}:
            self._fill_policy(message.field)
        self._review()
        self.post_message(self.Changed(self.config))

    @on(Submitted)
    def submit(self, message: Submitted) -> None:
        """Turn a knob of the living run; before a run, go on to the next field."""
        message.stop()
        field = fields()[message.field]
        if not self._locked:
            self.screen.focus_next(".field-row > *")
            return
        value = self._value(message.field)
        if field.live and not isinstance(value, ConfigError):
            self._knobs.send(message.field, message.text)
            self.post_message(self.Turned(message.field, value))
            self._show_hint()

    def _fill_policy(self, edited: str) -> None:
        policy = self._rows["lr_policy"].editor.value
        per = None if edited == "lr_policy" else self._rows["plateau_per"].editor.value
        rule = None if edited == "lr_policy" else self._rows["plateau_rule"].editor.value
        depends = {"plateau_per": {"patience"}, "plateau_rule": {"threshold_mode", "lr_eps"}}
        for name, value in policy_defaults(policy, per, rule).items():
            if edited == "lr_policy" or name in depends[edited]:
                self._put(name, value)
        self._order_policy(policy)

    def _order_policy(self, policy: str) -> None:
        """Put the rows of a policy in its own order, whichever were there before it."""
        block = self.query_one("#block-remedies")
        for name in policy_fields(policy):
            block.move_child(self._rows[name], before=self._rows["warmup"])

    def _value(self, name: str) -> Any:
        """Read one field; gives the ConfigError where it cannot be read."""
        try:
            return parse(fields()[name], self._rows[name].editor.value)
        except ConfigError as error:
            return error

    def _review(self) -> None:
        self._check()
        self._show_hint()

    def _check(self) -> None:
        """Read all fields, show what is wrong, and keep the configuration when nothing is."""
        policy = self._rows["lr_policy"].editor.value
        used = policy_fields(policy)
        values: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name in fields():
            hidden = name in policy_only_fields() and name not in used
            if name in self._rows:
                self._rows[name].display = not hidden
            if hidden:
                continue
            value = self._value(name)
            if isinstance(value, ConfigError):
                problems[name] = value.problem
            else:
                values[name] = value
        for name, default in policy_defaults(policy, values.get("plateau_per"), values.get("plateau_rule")).items():
            if values.get(name) is None and name not in problems:
                values[name] = default
        draft = RunConfig(**values)
        for error in draft.problems():
            # While a run lives its rate may well have fallen below the floor that it was started with.
            if not self._locked or fields()[error.field].live:
                problems.setdefault(error.field, error.problem)
        framework = draft.framework
        if framework in backends.names() and not backends.is_installed(framework):
            problems["framework"] = f"is not installed: {backends.install_command(framework)}"
        self.problems = problems
        self.config = None if problems else draft
        self._show_checks(draft)

    def _show_checks(self, draft: RunConfig) -> None:
        for name, row in self._rows.items():
            problem = self.problems.get(name) or self._refused.get(name, "")
            mark = "" if self._read_only else self._knobs.mark(name, row.editor.value)
            notes = self._notes(name, draft) if not problem else []
            if (problem, notes, mark) != (row.problem, row.notes, row.mark):
                row.problem, row.notes, row.mark = problem, notes, mark
                row.set_class(bool(problem), "-wrong")
                row.draw()
        self._rows["preset"].editor.set_text(matching_preset(draft))

    def _notes(self, name: str, draft: RunConfig) -> list[str]:
        """Say under a field what its value comes to."""
        if name == "l2":
            return backends.notes(draft)
        if name == "dataset" and not self._locked:
            note = datasets.note(draft.dataset)
            return [f"{note}: start fetches it"] if note else []
        return []

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        self._show_hint()

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        self._show_hint()

    def _focused_field(self) -> str:
        focused = self.screen.focused
        return focused.field if isinstance(focused, Entry | Choice) else ""

    def _show_hint(self) -> None:
        canvas = self.query_one(Hint)
        name = self._focused_field()
        if name in NOTED:
            text, more = NOTED[name], "locked while the run lives" if self._locked else ""
        elif name:
            field = fields()[name]
            text = field.hint
            more = field.range_text() if field.kind in {"number", "integer"} else ""
            if self._locked:
                shown = self._rows[name].editor.value
                more = self._knobs.hint(name, shown) if field.live else "locked while the run lives"
            if self._read_only:
                more = "a recorded run: to be read only"
        else:
            text, more = "", ""
        width, height = max(canvas.last_size.width, 8), canvas.last_size.height
        rows, closing = wrap(text, width), wrap(more, width)
        # Whether a field is locked must be seen; its range is said again when it is wrong.
        if not self._locked and len(rows) + len(closing) > height:
            closing = []
        room = max(height - len(closing), 1)
        if len(rows) > room:
            rows[room - 1 :] = [" ".join(rows[room - 1 :])]
        lines = [*([span(row, "label")] for row in rows), *([span(row, "muted")] for row in closing)]
        canvas.show([clip(line, width) for line in lines[: max(height, 1)]])


def matching_preset(config: RunConfig) -> str:
    """Name the preset that a configuration is, apart from those it leaves as they are."""
    kept = {name: getattr(config, name) for name in KEPT_BY_PRESETS}
    for name in PRESETS:
        if RunConfig.create(name, **kept) == config:
            return name
    return CUSTOM


def _shown(field: Field, value: Any) -> str:
    return ("on" if value else "off") if field.kind == "flag" else unparse(field, value)
