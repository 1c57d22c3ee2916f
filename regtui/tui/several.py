"""Several runs that are watched at once: one on show, the one before it behind, all of them followed."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from regtui.core.history import History
from regtui.core.text import printable
from regtui.notify.audience import Audience
from regtui.runs import called
from regtui.sources import Watched
from regtui.tui.runview import RunView
from regtui.tui.telling import Telling

FOLD_SECONDS = 0.03
"""Most of a frame that goes into reading a long log: the screen answers keys between two of them."""

FOLD_EVENTS = 5_000
"""Events taken from a source at a time: about 10 ms of folding."""


class Several(Telling):
    """A screen that follows the runs behind the one on show, and brings the next of them to the front."""

    def __init__(self, watched: list[Watched], runs: Sequence[Watched], audience: Audience) -> None:
        """Show the first of `watched`; `runs` are those to go through, in the order in which they were named."""
        super().__init__(watched, audience)
        self.runs = list(runs)
        self._turn = 0
        """Whose turn it is to be read first, so that one that is long does not hold the others up."""

    @property
    def ghost(self) -> History | None:
        """What is known of the run behind, once something was measured in it."""
        found = super().ghost
        return found if found is not None and (len(found.evaluations) or len(found.steps)) else None

    @property
    def among(self) -> tuple[int, int] | None:
        """Which of how many runs is on show, from 1; None where there is but one."""
        at = self._at()
        return (at + 1, len(self.runs)) if at is not None and len(self.runs) > 1 else None

    def _at(self) -> int | None:
        return next((at for at, run in enumerate(self.runs) if run is self.shown), None)

    @property
    def others(self) -> list[Watched]:
        """The runs that are followed behind the one on show."""
        return [run for run in self.runs if run is not self.shown]

    def left_behind(self, runs_dir: Path) -> list[str]:
        """Say of each run that goes on without the app, one with a process of its own, how it is seen again."""
        sentences = []
        for run in (self.shown, *self.others):
            activity = run.ask()
            if run.source is self.live or not activity.growing or activity.log is None:
                continue
            # One that is still being set up has its id by its folder alone.
            run_id = run.history.run.run_id if run.history.run is not None else printable(activity.log.parent.name)
            sentences.append(f"run {run_id} goes on; regtui watch {called(activity.log, runs_dir)} shows it")
        return sentences

    def follow_others(self, begun: float) -> bool:
        """Take in what the runs behind have to say, for the rest of a frame's time; tells whether more waits."""
        others = self.others
        if not others:
            return False
        more = False
        self._turn = (self._turn + 1) % len(others)
        for run in (*others[self._turn :], *others[: self._turn]):
            activity = run.ask()
            # One look is always taken: the run on show may need all of the time for minutes.
            while run.open:
                run.take(FOLD_EVENTS)
                if not run.behind:
                    run.open = activity.alive
                    break
                if time.monotonic() - begun > FOLD_SECONDS:
                    more = True
                    break
            self.tell_others(run, begun)
            if time.monotonic() - begun > FOLD_SECONDS:
                more = more or any(each.behind for each in others)
                break
        if self.view.ghost is not self.ghost:
            self.view = replace(self.view, ghost=self.ghost)
        return more

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "next_run":
            return self.among is not None
        return super().check_action(action, parameters)

    def action_next_run(self) -> None:
        """Bring the next run to the front; the one that was there stays behind it."""
        at = self._at()
        if at is None:
            return
        before, front = self.shown, self.runs[(at + 1) % len(self.runs)]
        rest = [run for run in self.runs if run is not front and run is not before]
        self.put_on_show([front, before, *rest])
        front.told_warnings = front.told_left_out = 0
        front.told_log_problem = ""
        self._stage = front.ask().stage
        self.query_one(RunView).retell(front.history)
        self.come_to_front()
        self.warn(front)
        self.tell_of_log(front)
        self.refresh_bindings()
        self.draw()

    def come_to_front(self) -> None:
        """Bring what else shows a run up to the one that has come to the front."""
        raise NotImplementedError
