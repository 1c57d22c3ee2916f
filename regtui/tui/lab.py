"""LabScreen: the form, the curves and the status of one run at a time, and the run before it behind."""

import time
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer

from regtui import analysis
from regtui.charts import View
from regtui.charts.strips import suited
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Event
from regtui.core.history import History
from regtui.notify.audience import Audience
from regtui.sources import Nothing, Source, Watched
from regtui.tui.awaited import HANDING_OVER
from regtui.tui.budget import FrameBudget
from regtui.tui.canvas import Canvas, ascii_only
from regtui.tui.driver import DrawnInTurn
from regtui.tui.form import HIGH, TWO_COLUMNS, Form
from regtui.tui.handing import Handing
from regtui.tui.keybar import KeyBar
from regtui.tui.keys import LAB_KEYS
from regtui.tui.panels import WIDE, status_line, verdict_lines
from regtui.tui.plot import Plot
from regtui.tui.runview import RunView
from regtui.tui.several import FOLD_EVENTS, FOLD_SECONDS

HEARTBEAT_SECONDS = 1.0
"""How often the screen looks by itself: a stage without events, a log that another process writes."""

ANSWER_SECONDS = 0.1
"""How often it looks while a command to another process has no answer: it takes a run about as long to look for one."""


class EventsArrived(Message, bubble=False):
    """A source has news; the next such message comes only after these were taken."""


class Body(Horizontal):
    """Form and curves, which cover it whole: it is never drawn itself, for each region of each frame."""

    BLANK = True


class LabScreen(Handing):
    """The lab: choose, start, watch, start again."""

    BINDINGS = [*LAB_KEYS]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (HIGH, "-high")]
    AUTO_FOCUS = ""
    BLANK = True

    def __init__(
        self,
        config: RunConfig,
        *,
        runs_dir: Path,
        share: bool,
        start: bool,
        source: Source | None,
        ghost: History | None,
        detach: bool = False,
        others: Sequence[Source] = (),
        audience: Audience,
    ) -> None:
        shown = Watched(source=source) if source is not None else Watched(source=Nothing(), open=False)
        behind = [Watched(source=Nothing(), history=ghost, open=False)] if ghost is not None else []
        followed = [Watched(source=other) for other in others]
        super().__init__([shown, *behind, *followed], [shown, *followed], audience, runs_dir=runs_dir, share=share)
        self.only_watches = source is not None
        self.budget = FrameBudget()
        self._config, self._detached_at_first = config, detach
        self._start_at_once = start
        self._was_paused = False
        self._news_waiting = False
        self._next_frame: Timer | None = None
        self._sent_bytes = 0
        self._before, self._trained_from, self._trained_seconds = FrameBudget(), 0.0, 0.0

    def compose(self) -> ComposeResult:
        # Set before there are widgets: each class that changes later styles all of them again.
        self.set_class(self.app.size.width < WIDE, "-narrow", update=False)
        self.set_class(self.app.size.width >= WIDE, "-wide", update=False)
        self.set_class(self.app.size.width < TWO_COLUMNS, "-slim", update=False)
        self.set_class(not (self._start_at_once or self.only_watches), "-form", update=False)
        # Until a log says what was asked for, there is nothing to show of it.
        self.set_class(self.only_watches, "-formless", update=False)
        yield Canvas(id="status")
        yield Canvas(id="verdict")
        with Body(id="body"):
            yield Form(self._config, detached=None if self.only_watches else self._detached_at_first)
            yield RunView()
        yield KeyBar(self.key_name)

    def on_mount(self) -> None:
        """Show the form, or what there is to watch; begin at once when asked to."""
        self.set_interval(HEARTBEAT_SECONDS, self._look)
        if self._start_at_once:
            # The import of a framework holds the interpreter's lock for long stretches: the first paint goes before.
            self.focus_curves()
            self.call_after_refresh(self.begin, self._config)
        else:
            (self.focus_curves if self.only_watches else self._focus_form)()
            self.call_after_refresh(self._frame)

    # Frames

    def announce(self) -> None:
        """Say, from the thread that trains, that there is news; one message is under way at a time."""
        if not self._news_waiting:
            self._news_waiting = True
            try:
                self.post_message(EventsArrived())
            except RuntimeError:
                # The app has gone; the run goes on to its own end, which needs no screen.
                return

    @on(EventsArrived)
    def fold(self) -> None:
        """Take the news in as soon as a frame is due."""
        self.schedule_frame()

    def schedule_frame(self) -> None:
        if self._next_frame is None:
            wait = self.budget.wait(time.monotonic())
            self._next_frame = self.set_timer(max(wait, 0.001), self._frame)

    def look_soon(self) -> None:
        # Whatever frames have cost so far: somebody has just pressed a key.
        if self._next_frame is not None:
            self._next_frame.stop()
        self._next_frame = self.set_timer(ANSWER_SECONDS, self._frame)

    def _look_for_answer(self, now: float) -> None:
        """Look oftener than the heart beats while somebody waits to see that a key was obeyed."""
        sent = self.shown.sent
        if sent and not sent[-1].seconds_of_silence(now):
            self.look_soon()

    def _look(self) -> None:
        """Draw a stage that takes long, and read a log that another process writes."""
        self.tell_of_audience()
        if self._next_frame is None and self.budget.wait(time.monotonic()) == 0:
            activity = self.shown.ask()
            behind = any(run.open or run.ask().alive for run in self.others)
            if self.shown.open or behind or activity.log_problem != self.shown.told_log_problem:
                self._frame()

    def _frame(self) -> None:
        """Fold what has come and draw it once."""
        begun, now = time.thread_time(), time.monotonic()
        self.budget.begin(now)
        self._next_frame = None
        self._news_waiting = False
        shown = self.shown
        activity = shown.ask()
        self.follow_stage(activity.stage, now)
        if shown.open:
            more = self._take(shown, now)
            self.warn(shown)
            if more and not self.alive:
                # A long log is read through: nobody's training is in the way.
                self._next_frame = self.set_timer(0.001, self._frame)
            elif more:
                self.schedule_frame()
            elif not activity.alive and not self.handing_over:
                self.finish(shown)
        self.tell_others(shown, now)
        if self.follow_others(now) and self._next_frame is None:
            self._next_frame = self.set_timer(0.001, self._frame)
        self.settle_form()
        self.tell_of_silence(shown, now)
        self.tell_of_log(shown)
        self.draw()
        self._look_for_answer(now)
        self.call_after_refresh(self._drew, begun)

    def _take(self, shown: Watched, now: float) -> bool:
        """Fold events for a while; tells whether more wait."""
        while True:
            had_run, had_epochs = shown.history.run, len(shown.history.evaluations)
            had_changes, had_notes = len(shown.history.changes), len(shown.history.notes)
            events = shown.take(FOLD_EVENTS)
            if self.is_elsewhere and len(shown.history.notes) != had_notes:
                # What it does from now on was in what has just been read.
                shown.ask()
            if events:
                began = had_run is not shown.history.run
                self._tell(events, began, shown.history.changes[0 if began else had_changes :])
            if bool(had_epochs) != bool(len(shown.history.evaluations)):
                self.refresh_bindings()
            if not shown.behind:
                return False
            if time.monotonic() - now > FOLD_SECONDS:
                return True

    def _tell(self, events: list[Event], began: bool, changes: list[Changed]) -> None:
        """Say what has come, and bring the form up to it."""
        if began:
            self._before, self._trained_from, self._trained_seconds = copy(self.budget), time.monotonic(), 0.0
            self.say_asked()
        self.follow(changes)
        if self.history.end is not None and not self._trained_seconds:
            self._trained_seconds = time.monotonic() - self._trained_from
        self.query_one(RunView).tell(events)

    def come_to_front(self) -> None:
        """Show the form of the run that has come to the front, if it has one, and strips that it has data for."""
        self.view = replace(self.view, strips=View().strips)
        if self.history.run is not None:
            self.say_asked()
            self.follow(self.history.changes)

    def _drew(self, begun: float) -> None:
        app = cast(DrawnInTurn, self.app)
        self.budget.cells = app.size.width * app.size.height
        self.budget.end(time.thread_time() - begun, app.sent_bytes - self._sent_bytes, app.way_seconds)
        self._sent_bytes = app.sent_bytes

    # What is drawn

    def draw(self) -> None:
        form = self.query_one(Form)
        activity = self.shown.activity
        paused = activity.stage == "paused"
        if paused != self._was_paused:
            self._was_paused = paused
            self.refresh_bindings()
        if self.view.strips == View().strips:
            self.view = replace(self.view, strips=suited(self.history, self.view.strips))
        verdict = analysis.verdict(self.history)
        since = verdict.since_step if verdict.state == "overfitting" else None
        view = replace(self.view, overfit_since=since, ascii=ascii_only(self.app))
        status = self.query_one("#status", Canvas)
        # The form is that of a run to come; one that is only watched has its own, or none.
        planned = None if self.only_watches else form.config
        config = self.live.config if self.live else planned
        width = status.content_size.width
        watching = "" if not self.only_watches else "watching"
        watching += f" {self.among[0]} of {self.among[1]}" if self.among else ""
        waiting = HANDING_OVER if self.handing_over else self.waits_for(self.shown, time.monotonic())
        status.show(
            [status_line(self.history, activity, config, width, time.time(), watching=watching, waiting=waiting)]
        )
        canvas = self.query_one("#verdict", Canvas)
        canvas.show(verdict_lines(self.history, activity, *canvas.content_size, row=view.cursor))
        preview = planned if self.history.run is None and not self.occupied else None
        self.query_one(RunView).draw(self.history, view, preview)

    def on_resize(self) -> None:
        self.set_class(self.app.size.width < TWO_COLUMNS, "-slim")
        self.call_after_refresh(self.draw)

    @on(Form.Changed)
    def preview(self) -> None:
        """Draw the rates that the form's policy plans."""
        if self.history.run is None:
            self.draw()

    # What the keys do

    def key_name(self, binding: Binding) -> str:
        """Name a key by what it would do now."""
        if binding.action == "move_run":
            return "Attach" if self.query_one(Form).detached else binding.description
        return "Resume" if binding.action == "pause" and self._was_paused else binding.description

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "leave":
            return self.query_one(Form).has_focus_within or self.view.cursor is not None
        if action == "switch":
            return not (self.query_one(Form).has_focus_within or self.has_class("-formless"))
        return super().check_action(action, parameters)

    def action_switch(self) -> None:
        """Go from the curves to the form."""
        self._focus_form()

    def action_leave(self) -> None:
        """Give a pending field its value back, else go to the curves; from the curves, take the cursor away."""
        if self.query_one(Form).give_back():
            return
        if self.focused is self.query_one(Plot):
            self._look_at(cursor=None)
        self.focus_curves()

    def action_help(self) -> None:
        from regtui.tui.help import HelpScreen

        self.app.push_screen(HelpScreen(self.usable_keys()))

    def show_form(self, shown: bool) -> None:
        """Choose what a narrow screen shows."""
        self.set_class(shown, "-form")

    def _focus_form(self) -> None:
        self.show_form(True)
        self.query_one(Form).focus_first()

    def focus_curves(self) -> None:
        self.show_form(False)
        self.query_one(Plot).focus()
        self.call_after_refresh(self.draw)

    def frame_stats(self) -> dict[str, float]:
        """Say how many frames were drawn while the last run trained and what they cost, for the benchmark."""
        frames, spent = self.budget.frames - self._before.frames, self.budget.spent_seconds - self._before.spent_seconds
        return {"frames": frames, "seconds": self._trained_seconds, "drawing_seconds": spent}
