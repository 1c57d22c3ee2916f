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
from textual.worker import Worker, WorkerState

from regtui import analysis
from regtui.charts import View, warm_up
from regtui.charts.strips import suited
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Event, Knob, SetKnob, Stop
from regtui.core.history import History
from regtui.sources import Nothing, Source, Watched
from regtui.sources.here import LiveRun
from regtui.tui.budget import FrameBudget
from regtui.tui.canvas import Canvas, ascii_only, span
from regtui.tui.driver import DrawnInTurn
from regtui.tui.form import HIGH, TWO_COLUMNS, Form
from regtui.tui.keybar import KeyBar
from regtui.tui.keys import LAB_KEYS
from regtui.tui.panels import WIDE, problem_text, status_line, verdict_lines
from regtui.tui.plot import Plot
from regtui.tui.runview import RunView
from regtui.tui.several import FOLD_EVENTS, FOLD_SECONDS, Several

HEARTBEAT_SECONDS = 1.0
"""How often the screen looks by itself: a stage without events, a log that another process writes."""


class EventsArrived(Message, bubble=False):
    """A source has news; the next such message comes only after these were taken."""


class Body(Horizontal):
    """Form and curves, which cover it whole: it is never drawn itself, for each region of each frame."""

    BLANK = True


class LabScreen(Several):
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
        others: Sequence[Source] = (),
    ) -> None:
        shown = Watched(source=source) if source is not None else Watched(source=Nothing(), open=False)
        behind = [Watched(source=Nothing(), history=ghost, open=False)] if ghost is not None else []
        followed = [Watched(source=other) for other in others]
        super().__init__([shown, *behind, *followed], [shown, *followed])
        self.only_watches = source is not None
        self.bell_at_end = False
        """Ring the terminal's bell when a run has ended."""
        self.budget = FrameBudget()
        self._config = config
        self._start_at_once = start
        self._runs_dir, self._share = runs_dir, share
        self._replaced = self.watched
        """What was on show before the last start, which may be refused."""
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
            yield Form(self._config)
            yield RunView()
        yield KeyBar(self.key_name)

    def on_mount(self) -> None:
        """Show the form, or what there is to watch; begin at once when asked to."""
        self.set_interval(HEARTBEAT_SECONDS, self._look)
        if self._start_at_once:
            # The import of a framework holds the interpreter's lock for long stretches: the first paint goes before.
            self._focus_curves()
            self.call_after_refresh(self.begin, self._config)
        else:
            (self._focus_curves if self.only_watches else self._focus_form)()
            self.call_after_refresh(self._frame)

    # What runs

    def begin(self, config: RunConfig) -> None:
        """Start a run; the one before it stays behind it as a ghost."""
        live = self.live = LiveRun(config, runs_dir=self._runs_dir, share=self._share)
        live.listen(self._announce)
        self._replaced = self.watched
        behind = self.watched if len(self.history.evaluations) else self.watched[1:]
        self.put_on_show([Watched(source=live), *behind[:1]])
        self.shown.ask()
        self._trained_seconds = 0.0
        # Beside the framework's import, which takes longer: the first frames of the training need not wait for it.
        self.run_worker(warm_up, thread=True, group="drawing")
        self.run_worker(live.drive, thread=True, group="run", name=live.run_id, exit_on_error=False)
        self.query_one(Form).hold(True)
        self.refresh_bindings()
        self._schedule_frame()

    def end_own(self, reason: str) -> None:
        """Tell the run that trains here to end; those that are only watched go on."""
        if self.live is not None and self.live.alive:
            self.live.send(Stop(reason=reason))
            if self.is_mounted:
                self._schedule_frame()

    def say(self, text: str) -> None:
        """Put a line that a library printed into the log of the run that trains here; from any thread."""
        if self.live is not None:
            self.live.say(text)

    @on(Worker.StateChanged)
    def report(self, message: Worker.StateChanged) -> None:
        """Say what went wrong in the thread that trains, where the run itself could not."""
        if message.state is WorkerState.ERROR and self.live is not None:
            self.live.problem = f"the run broke off: {message.worker.error!r}"
            self._schedule_frame()

    def _announce(self) -> None:
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
        self._schedule_frame()

    def _schedule_frame(self) -> None:
        if self._next_frame is None:
            wait = self.budget.wait(time.monotonic())
            self._next_frame = self.set_timer(max(wait, 0.001), self._frame)

    def _look(self) -> None:
        """Draw a stage that takes long, and read a log that another process writes."""
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
                self._schedule_frame()
            elif not activity.alive:
                self._finish(shown)
        if self.follow_others(now) and self._next_frame is None:
            self._next_frame = self.set_timer(0.001, self._frame)
        self.tell_of_log(shown)
        self.draw()
        self.call_after_refresh(self._drew, begun)

    def _take(self, shown: Watched, now: float) -> bool:
        """Fold events for a while; tells whether more wait."""
        while True:
            had_run, had_epochs = shown.history.run, len(shown.history.evaluations)
            had_changes = len(shown.history.changes)
            events = shown.take(FOLD_EVENTS)
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
            self._before, self._trained_from = copy(self.budget), time.monotonic()
            self._say_asked()
        if changes:
            self.query_one(Form).follow(changes)
        if self.history.end is not None and not self._trained_seconds:
            self._trained_seconds = time.monotonic() - self._trained_from
        self.query_one(RunView).tell(events)

    def _say_asked(self) -> None:
        """Show the form of a run that is only watched where its log says what was asked for, and else none."""
        if not self.only_watches:
            return
        config = self.history.config
        self.set_class(config is None, "-formless")
        if config is not None:
            self._show_config(config)
        else:
            self._focus_curves()
        self.refresh_bindings()

    def come_to_front(self) -> None:
        """Show the form of the run that has come to the front, if it has one, and strips that it has data for."""
        self.view = replace(self.view, strips=View().strips)
        if self.history.run is not None:
            self._say_asked()
            self.query_one(Form).follow(self.history.changes)

    def _show_config(self, config: RunConfig) -> None:
        """Put the configuration of a run that is only watched into the form, to be read."""
        form = self.query_one(Form)
        form.fill(config)
        form.hold(True, read_only=True)

    def _drew(self, begun: float) -> None:
        app = cast(DrawnInTurn, self.app)
        self.budget.cells = app.size.width * app.size.height
        self.budget.end(time.thread_time() - begun, app.sent_bytes - self._sent_bytes, app.way_seconds)
        self._sent_bytes = app.sent_bytes

    def _finish(self, shown: Watched) -> None:
        """Let the form go; what could not be set up is said in words."""
        shown.open = False
        if not self.only_watches:
            self.query_one(Form).hold(False)
        elif self.history.config is not None:
            # What is in force is over: the form says again what the run was started with.
            self._show_config(self.history.config)
        self.refresh_bindings()
        if self.bell_at_end and shown.grew:
            self.app.bell()
        problem = problem_text(shown.activity)
        if problem:
            self.query_one(RunView).say((span(f" {problem}", "bad"),))
            began = shown.history.run is not None
            title = "The run could not go on" if began else "The run could not start"
            self.notify(problem, title=title, severity="error", markup=False)
            if not began:
                self._go_back(shown)

    def _go_back(self, refused: Watched) -> None:
        """Take a run that could not be started off the screen, and go to the field that it was refused for."""
        if self._replaced[0].history.run is not None:
            self.put_on_show(self._replaced)
            self.refresh_bindings()
        field = refused.activity.refused
        if field is not None:
            self._show_form(True)
            self.query_one(Form).refuse(field.field, field.problem)

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
        status.show([status_line(self.history, activity, config, width, time.time(), watching=watching)])
        canvas = self.query_one("#verdict", Canvas)
        canvas.show(verdict_lines(self.history, activity, *canvas.content_size, row=view.cursor))
        preview = planned if self.history.run is None and not self.alive else None
        self.query_one(RunView).draw(self.history, view, preview)

    def on_resize(self) -> None:
        self.set_class(self.app.size.width < TWO_COLUMNS, "-slim")
        self.call_after_refresh(self.draw)

    @on(Form.Changed)
    def preview(self) -> None:
        """Draw the rates that the form's policy plans."""
        if self.history.run is None:
            self.draw()

    @on(Form.Pressed)
    def press(self) -> None:
        """Start, or stop after a question."""
        if self.obeys(Stop):
            self.action_stop()
        else:
            self.action_start()

    @on(Form.Turned)
    def turn(self, message: Form.Turned) -> None:
        self.send(SetKnob(knob=cast(Knob, message.knob), value=message.value))

    # What the keys do

    def key_name(self, binding: Binding) -> str:
        """Name a key by what it would do now."""
        return "Resume" if binding.action == "pause" and self._was_paused else binding.description

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "leave":
            return self.query_one(Form).has_focus_within or self.view.cursor is not None
        if action == "switch":
            return not (self.query_one(Form).has_focus_within or self.has_class("-formless"))
        return super().check_action(action, parameters)

    def action_start(self) -> None:
        """Start what the form says, or go to the field that cannot be run."""
        form = self.query_one(Form)
        if form.config is not None:
            self.begin(form.config)
            self._focus_curves()
            return
        self._show_form(True)
        form.focus_problem()

    def action_switch(self) -> None:
        """Go from the curves to the form."""
        self._focus_form()

    def action_leave(self) -> None:
        """Give a pending field its value back, else go to the curves; from the curves, take the cursor away."""
        if self.query_one(Form).give_back():
            return
        if self.focused is self.query_one(Plot):
            self._look_at(cursor=None)
        self._focus_curves()

    def action_help(self) -> None:
        from regtui.tui.help import HelpScreen

        self.app.push_screen(HelpScreen(self.usable_keys()))

    def _show_form(self, shown: bool) -> None:
        """Choose what a narrow screen shows."""
        self.set_class(shown, "-form")

    def _focus_form(self) -> None:
        self._show_form(True)
        self.query_one(Form).focus_first()

    def _focus_curves(self) -> None:
        self._show_form(False)
        self.query_one(Plot).focus()
        self.call_after_refresh(self.draw)

    def frame_stats(self) -> dict[str, float]:
        """Say how many frames were drawn while the last run trained and what they cost, for the benchmark."""
        frames, spent = self.budget.frames - self._before.frames, self.budget.spent_seconds - self._before.spent_seconds
        return {"frames": frames, "seconds": self._trained_seconds, "drawing_seconds": spent}
