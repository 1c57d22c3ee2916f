"""What is said of the run on show, beside its events: stages that took long, lines left out, what befell its log."""

from weakref import WeakKeyDictionary

from regtui.core.text import printable
from regtui.notify.audience import Audience
from regtui.notify.lookout import Lookout
from regtui.notify.notices import Notice
from regtui.sources import Watched
from regtui.tui.awaited import Awaited, awaited, is_given_up
from regtui.tui.runview import RunView
from regtui.tui.steering import Steering

STAGES_OF_TRAINING = {"", "waiting to start", "training", "paused", "stopping", "ended"}
"""Stages that are not worth a line in the event log; those before them are: importing, loading, building."""


class Telling(Steering):
    """A screen that says in the event log and in notices what has come of a run."""

    _stage = ""
    _stage_from = 0.0

    def __init__(self, watched: list[Watched], audience: Audience) -> None:
        super().__init__(watched)
        self.audience = audience
        """Who is told, beside whoever looks at the screen."""
        self._lookouts: WeakKeyDictionary[Watched, Lookout] = WeakKeyDictionary()
        """Weak, so that the runs of a long session are not all kept."""

    def look_after(self, run: Watched, *, from_start: bool = False) -> Lookout:
        """Give what says when there is something to tell of a run; of one that begins here all of it is news."""
        if run not in self._lookouts:
            self._lookouts[run] = Lookout(from_start=from_start)
        return self._lookouts[run]

    def tell_others(self, run: Watched, now: float) -> None:
        """Tell what has come of a run; one whose log is still being read through has no news yet."""
        notices = self.notices(run, now)
        for notice in notices:
            # A process that has gone tells nobody that it has.
            lost = notice.kind == "stall" and not run.activity.growing
            self.audience.tell([notice], here_only=run.tells and not lost)
            if run is self.shown and notice.kind in ("stall", "recovery"):
                text = notice.body.replace("\n", "; ")
                self.query_one(RunView).say(text, "warn" if notice.kind == "stall" else "text")

    def say_failure(self, text: str, title: str, *, seconds: float | None = None) -> None:
        """Say what has failed: in a notice, for so long or as long as usual, and in the event log, where it stays."""
        text = printable(text)
        self.query_one(RunView).say(text, "bad")
        self.notify(text, title=title, severity="error", timeout=seconds, markup=False)

    def tell_of_audience(self) -> None:
        """Say who could not be told: in the log of the run that trains here, else on the screen alone."""
        for problem in self.audience.problems():
            if self.live is not None and self.live.alive:
                self.live.say(problem, "warning")
            else:
                self.query_one(RunView).say(problem, "warn")

    def notices(self, run: Watched, now: float) -> list[Notice]:
        """Give what there is to tell of a run."""
        lookout, activity = self.look_after(run), run.activity
        if run.behind and not lookout.begun:
            return []
        return lookout.look(run.history, now, paused=activity.stage == "paused", growing=activity.growing)

    def follow_stage(self, stage: str, now: float) -> None:
        """Keep the stage on show, and tell how long the one before took where that is worth knowing."""
        if stage == self._stage:
            return
        if self._stage not in STAGES_OF_TRAINING:
            # Under the text of events, which have their time before it.
            self.query_one(RunView).say(f"{'':10}{self._stage} took {now - self._stage_from:.1f} s", "muted")
        self._stage, self._stage_from = stage, now

    def warn(self, shown: Watched) -> None:
        """Say which lines of a log could not be read, each once."""
        for warning in shown.new_warnings():
            self.query_one(RunView).say(warning, "warn")
        for sentence in shown.history.left_out[shown.told_left_out :]:
            self.query_one(RunView).say(sentence, "warn")
        shown.told_left_out = len(shown.history.left_out)

    def waits_for(self, shown: Watched, now: float) -> Awaited | None:
        """Give what was sent and is not obeyed yet; a run that is still being set up answers when it trains."""
        return awaited(shown.sent, now if shown.history.run is not None or not shown.sent else shown.sent[0].at)

    def tell_of_silence(self, shown: Watched, now: float) -> None:
        """Say once that nobody answers what was sent; it is still counted in the line of the state."""
        if is_given_up(shown.sent, now, growing=shown.activity.growing):
            shown.sent.clear()
        waiting = self.waits_for(shown, now)
        if waiting is not None and waiting.silent and not shown.told_silent:
            shown.told_silent = True
            self.query_one(RunView).say(f"{waiting.name}: {waiting.words[0]}", "warn")

    def tell_of_log(self, shown: Watched) -> None:
        """Say once what is wrong with the log, and once that it is right again; a run here says it in its log, too."""
        problem = shown.activity.log_problem
        if problem == shown.told_log_problem:
            return
        shown.told_log_problem = problem
        text = problem or "The log is in order again."
        if self.only_watches or not shown.activity.alive:
            self.query_one(RunView).say(text, "bad" if problem else "text")
        title = shown.activity.log_words.capitalize() if problem else ""
        if not problem:
            self.app.clear_notifications()
        self.notify(text, title=title, severity="error" if problem else "information", markup=False)
