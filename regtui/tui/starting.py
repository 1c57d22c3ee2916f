"""What starts runs and ends them, and the form that says what is asked for: of the next run, or of the one on show."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from textual import on
from textual.worker import Worker, WorkerState

from regtui.charts import warm_up
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Knob, SetKnob, Stop
from regtui.notify.asked import environment_for
from regtui.notify.audience import Audience
from regtui.readers import LogError
from regtui.sources import Source, Watched
from regtui.sources.here import LiveRun
from regtui.tui.form import Form
from regtui.tui.panels import problem_text
from regtui.tui.several import FOLD_EVENTS, Several
from regtui.tui.steering import REASON_SECONDS


class Starting(Several):
    """A screen with a form, which starts a run, or turns the one on show."""

    def __init__(
        self, watched: list[Watched], runs: Sequence[Watched], audience: Audience, *, runs_dir: Path, share: bool
    ) -> None:
        super().__init__(watched, runs, audience)
        self._runs_dir, self._share = runs_dir, share
        self._replaced = self.watched
        """What was on show before the last start, which may be refused."""
        self._turns: bool | None = None
        """Whether the form of a run that is only watched turns its knobs, or is only read; None before it is filled."""

    def schedule_frame(self) -> None:
        """Draw as soon as a frame is due."""
        raise NotImplementedError

    def announce(self) -> None:
        """Say, from the thread that trains, that there is news."""
        raise NotImplementedError

    def show_form(self, shown: bool) -> None:
        """Choose what a narrow screen shows."""
        raise NotImplementedError

    def focus_curves(self) -> None:
        """Go from the form to the curves."""
        raise NotImplementedError

    # What runs

    def begin(self, config: RunConfig) -> None:
        """Start a run, here or in a process of its own; the one before it stays behind it as a ghost."""
        form = self.query_one(Form)
        source = self._start_elsewhere(config) if form.detached else self._start_here(config)
        if source is None:
            return
        self._replaced = self.watched
        behind = self.watched if len(self.history.evaluations) else self.watched[1:]
        self.put_on_show([Watched(source=source, tells=form.detached), *behind[:1]])
        self.look_after(self.shown, from_start=True)
        self.shown.ask()
        # Beside the framework's import, which takes longer: the first frames of the training need not wait for it.
        self.run_worker(warm_up, thread=True, group="drawing")
        form.hold(True)
        self.refresh_bindings()
        self.schedule_frame()

    def _start_here(self, config: RunConfig) -> Source:
        live = self.live = LiveRun(config, runs_dir=self._runs_dir, share=self._share)
        live.listen(self.announce)
        self.run_worker(live.drive, thread=True, group="run", name=live.run_id, exit_on_error=False)
        return live

    def _start_elsewhere(self, config: RunConfig) -> Source | None:
        """Start a process that trains; one that cannot be started is said."""
        self.live = None
        try:
            return self.detach(config)
        except LogError as error:
            self.say_failure(str(error), "The run could not start")
            return None

    def detach(self, config: RunConfig, *, heir_of: LiveRun | None = None, commands_from: int | None = None) -> Source:
        """Start a process that trains, or goes on with what this one has handed over; raises LogError.

        It tells the services that are asked for by itself, whether somebody looks or not.
        """
        from regtui.sources.detached import Detached

        return Detached(
            config, runs_dir=self._runs_dir, share=self._share, log=heir_of.log_path if heir_of else None,
            resumes=heir_of.run_id if heir_of else "", commands_from=commands_from,
            more=("--checkpoint", "both"), environment=environment_for(self.audience.urls),
        )  # fmt: skip

    def action_move_run(self) -> None:
        """Let the next run train in a process of its own, or in this app."""
        form = self.query_one(Form)
        form.move_run()
        self.refresh_bindings()
        where = "a process of its own, which outlives this app" if form.detached else "this app"
        self.notify(f"The next run trains in {where}.", timeout=REASON_SECONDS, markup=False)

    def end_own(self, reason: str) -> None:
        """Tell the run that trains here to end; those that are only watched go on."""
        if self.live is not None and self.live.alive:
            self.live.send(Stop(reason=reason))
            if self.is_mounted:
                self.schedule_frame()

    def last_look(self) -> None:
        """Take in what the run that trained here said after the last frame, and tell of it; no screen is needed."""
        if self.live is not None and self.shown.source is self.live:
            while self.shown.take(FOLD_EVENTS):
                pass
            self.audience.tell(self.notices(self.shown, time.monotonic()))

    def say(self, text: str) -> None:
        """Put a line that a library printed into the log of the run that trains here; from any thread."""
        if self.live is not None:
            self.live.say(text)

    @on(Worker.StateChanged)
    def report(self, message: Worker.StateChanged) -> None:
        """Say what went wrong in the thread that trains, where the run itself could not."""
        if message.state is WorkerState.ERROR and self.live is not None:
            self.live.problem = f"the run broke off: {message.worker.error!r}"
            self.schedule_frame()

    def finish(self, shown: Watched) -> None:
        """Let the form go; what could not be set up is said in words."""
        shown.open = False
        if not self.only_watches:
            self.query_one(Form).hold(False)
        elif self.history.config is not None:
            # What is in force is over: the form says again what the run was started with.
            self._fill(self.history.config, turns=False)
        self.refresh_bindings()
        problem = problem_text(shown.activity)
        if problem:
            began = shown.history.run is not None
            self.say_failure(problem, "The run could not go on" if began else "The run could not start")
            if not began:
                self._go_back(shown)

    def _go_back(self, refused: Watched) -> None:
        """Take a run that could not be started off the screen, and go to the field that it was refused for."""
        if self._replaced[0].history.run is not None:
            self.put_on_show(self._replaced)
            self.refresh_bindings()
        field = refused.activity.refused
        if field is not None:
            self.show_form(True)
            self.query_one(Form).refuse(field.field, field.problem)

    # What the form says of a run that is only watched

    def say_asked(self) -> None:
        """Show the form of a run that is only watched where its log says what was asked for, and else none."""
        if not self.only_watches:
            return
        config = self.history.config
        self._turns = None
        self.set_class(config is None, "-formless")
        if config is not None:
            self._fill(config, turns=False)
        else:
            self.focus_curves()
        self.refresh_bindings()

    def settle_form(self) -> None:
        """Let the form of a run that is only watched turn its knobs from when it is known to listen until it ends."""
        config, shown = self.history.config, self.shown
        if not self.only_watches or config is None or shown.behind:
            return
        turns = SetKnob in shown.source.listens and shown.activity.alive
        if turns != self._turns:
            self._fill(config, turns=turns)
            self.query_one(Form).follow(self.history.changes if turns else ())
            self.refresh_bindings()

    def _fill(self, config: RunConfig, *, turns: bool) -> None:
        """Put what a run was started with into the form: to be read, but for the knobs where those can be turned."""
        self._turns = turns
        form = self.query_one(Form)
        form.fill(config)
        form.hold(True, read_only=not turns)

    def follow(self, changes: Sequence[Changed]) -> None:
        """Show in the form what a run has told of its knobs, whoever turned them."""
        if changes:
            self.query_one(Form).follow(changes)

    # What is done in the form

    @on(Form.Pressed)
    def press(self) -> None:
        """Start, or stop after a question."""
        if self.obeys(Stop):
            self.action_stop()
        elif self.check_action("start", ()):
            self.action_start()

    @on(Form.Turned)
    def turn(self, message: Form.Turned) -> None:
        if not self.send(SetKnob(knob=cast(Knob, message.knob), value=message.value)):
            self.query_one(Form).unsend(message.knob)

    def action_start(self) -> None:
        """Start what the form says, or go to the field that cannot be run."""
        form = self.query_one(Form)
        if form.config is not None:
            self.begin(form.config)
            self.focus_curves()
            return
        self.show_form(True)
        form.focus_problem()
