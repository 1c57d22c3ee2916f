"""Accelerate: a tracker for loops that log through an `Accelerator`.

    accelerator = Accelerator(log_with=Recorder())
    accelerator.init_trackers("mnist", config={"learning_rate": 1e-3})
    accelerator.log({"train_loss": loss, "lr": rate}, step=step)
    accelerator.end_training()

Names such as `train_loss`, `val_loss` and `lr` are understood as those in logs of others; steps are updates completed.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from accelerate.tracking import GeneralTracker, on_main_process

from regtui.integrations.common import Said, agreed, begin, listen
from regtui.recording import Recorder as Run
from regtui.recording.warned import Warned, harmless


class Recorder(GeneralTracker):  # type: ignore[misc] # accelerate may be missing where types are checked
    """Records what an Accelerator logs, from `init_trackers` to `end_training`."""

    name = "regtui"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, **said: Unpack[Said]) -> None:
        super().__init__()
        self.run: Run | None = None
        """The run, from `init_trackers` on; None in all processes but the first."""
        self.warned = Warned()
        self._said = said

    @property
    def tracker(self) -> Run | None:
        """The run itself, as `get_tracker("regtui", unwrap=True)` gives it."""
        return self.run

    @on_main_process  # type: ignore[untyped-decorator]
    @harmless
    def start(self) -> None:
        """Begin a run."""
        if self.run is not None:
            self.run.finish()
        self.run = begin("accelerate", self._said)

    @on_main_process  # type: ignore[untyped-decorator]
    @harmless
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Take the configuration as settings of the run."""
        if self.run is not None:
            self.run.tell(values)

    @on_main_process  # type: ignore[untyped-decorator]
    @harmless
    def log(self, /, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Record numbers, and wait while the run is paused."""
        if self.run is not None:
            self.run.log(values, step=step)
            listen(self.run)

    @on_main_process  # type: ignore[untyped-decorator]
    @harmless
    def finish(self) -> None:
        """End the run."""
        run, self.run = self.run, None
        if run is not None:
            run.finish()

    def should_stop(self) -> bool:
        """Tell whether somebody has asked the run to end; all processes must ask at the same place."""
        return agreed(self.run is not None and listen(self.run))
