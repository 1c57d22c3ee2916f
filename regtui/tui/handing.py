"""Handing the run that trains in this app over to a process of its own, which goes on where it stood."""

import asyncio

from regtui.core.history import History
from regtui.readers import LogError
from regtui.runs import called
from regtui.sources import Watched
from regtui.sources.here import LiveRun
from regtui.tui.runview import RunView
from regtui.tui.starting import Starting

LOOK_SECONDS = 0.05
"""How often it is looked whether a run has let go of its training, or another process has taken it up."""

FAILURE_SECONDS = 30
"""How long a notice of what has failed stands: who meant to quit is to read why the app is still there."""


class Handing(Starting):
    """A screen that can let go of the run that it trains without ending it."""

    handing_over = False
    """A run is on its way from this process into another."""

    @property
    def occupied(self) -> bool:
        return super().occupied or self.handing_over

    def why_not_handed_over(self) -> str:
        """Say why the run here cannot go on in another process, as it stands behind a colon; empty where it can."""
        live = self.live
        if live is None or not live.alive:
            return "no run trains here"
        if self.handing_over:
            return "it is on its way already"
        if not live.begun:
            return "it is still being set up"
        if live.stage == "stopping" or live.is_over:
            return "it is ending"
        return "its log is not whole" if live.log_problem else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "hand_over":
            return not self.why_not_handed_over()
        return super().check_action(action, parameters)

    def _why_not(self, action: str) -> str:
        if action == "hand_over" and not self.only_watches and self.shown.activity.growing:
            if self.is_elsewhere:
                return "The run has a process of its own already."
            return f"The run cannot be handed over: {self.why_not_handed_over()}."
        return super()._why_not(action)

    def action_hand_over(self) -> None:
        """Let the run that trains here go on in a process of its own, and stay."""
        self.run_worker(self.hand_over(), group="handing")

    async def hand_over(self) -> bool:
        """Hand the run that trains here over; tells whether another process has gone on with it.

        Where it could not even be let go, it trains on here; where nobody took it up, its checkpoint is there to go on
        from, and it is said how.
        """
        live = self.live
        if live is None or self.why_not_handed_over():
            return False
        self.handing_over = True
        self.refresh_bindings()
        self.draw()
        try:
            return await self._let_go(live) and await self._taken_up(live)
        finally:
            self.handing_over = False
            self.refresh_bindings()
            self.schedule_frame()

    async def _let_go(self, live: LiveRun) -> bool:
        """Wait until the run has written all that it goes on from, and is over here."""
        live.hand_over()
        while live.alive and not live.not_handed_over:
            await asyncio.sleep(LOOK_SECONDS)
        if live.handed_over:
            return True
        if live.not_handed_over:
            self.say_failure(live.not_handed_over, "The run was not handed over", seconds=FAILURE_SECONDS)
        return False

    async def _taken_up(self, live: LiveRun) -> bool:
        """Start the process that goes on, and wait until it has said in the log that it does."""
        before, left = len(self.history.resumed), live.leave()
        try:
            heir = self.detach(live.config, heir_of=live, commands_from=left.commands_from)
        except LogError as error:
            self._say_how_to_go_on(live, str(error))
            return False
        shown = Watched(source=heir, tells=True)
        self.live = None
        self.put_on_show([shown, *self.watched[1:]])
        self.look_after(shown)
        shown.ask()
        for command in left.commands:
            self.send(command)
        # Its log is read from the start again.
        self.query_one(RunView).retell(History())
        while len(shown.history.resumed) <= before and shown.ask().alive:
            self.schedule_frame()
            await asyncio.sleep(LOOK_SECONDS)
        if len(shown.history.resumed) > before:
            return True
        self._say_how_to_go_on(live, shown.activity.problem)
        return False

    def _say_how_to_go_on(self, live: LiveRun, why: str) -> None:
        name = called(live.log_path, self._runs_dir)
        text = f"{why}; nothing is lost: regtui train --resume {name} goes on"
        self.say_failure(text, "No process took the run up", seconds=FAILURE_SECONDS)
