"""The keys, declared once: the footer, the help and the README come from these bindings."""

from textual.binding import Binding


def _key(
    key: str, action: str, name: str, tooltip: str, sign: str | None = None, *, show: bool = True, identity: str = ""
) -> Binding:
    """Declare one key; its id, by which a keymap can change it, is its action unless two keys have the same."""
    identity = identity or action.removeprefix("app.").translate({ord(sign): "-" for sign in "(.)"}).rstrip("-")
    return Binding(key, action, name, tooltip=tooltip, id=identity, key_display=sign, show=show)


QUIT_ANYWHERE = Binding(
    "ctrl+c", "app.quit", "Quit", tooltip="The same, also in a field and over a menu.", id="quit-anywhere",
    key_display="^c", show=False, priority=True,
)  # fmt: skip
"""Comes before what has the focus: who presses it wants to leave, and a field would take a q as text."""

SUSPEND = Binding(
    "ctrl+z", "app.suspend_process", "Suspend", tooltip="Stop, run and all, and go to the shell; fg comes back.",
    id="suspend", key_display="^z", show=False, priority=True,
)  # fmt: skip
"""What every program of a terminal does by this key."""

LAB_KEYS: list[Binding] = [
    _key("ctrl+r", "start", "Start", "Start a run with what the form says.", "^r"),
    _key("space", "pause", "Pause", "Pause the run after the chunk in hand, or let it go on."),
    _key("s", "run_epoch", "Epoch", "Run to the end of the epoch, then pause."),
    _key("x", "stop", "Stop", "End the run, after a question."),
    _key("escape", "leave", "Curves", "Leave a field for the curves; on the curves, take the cursor away.", "esc"),
    _key("f", "switch", "Form", "Go from the curves to the form."),
    _key("left_square_bracket", "scale_rate(0.5)", "LR ÷2", "Halve the learning rate.", "["),
    _key("right_square_bracket", "scale_rate(2.0)", "LR ×2", "Double the learning rate.", "]"),
    _key("g", "strips", "Strips", "Change the strips under the loss: each that the run has data for."),
    _key("z", "zoom", "Zoom", "Show all of the run, its last half, or its last tenth."),
    _key("l", "log_y", "Log", "Make the loss axis logarithmic, or linear."),
    _key("m", "smooth", "Smooth", "Smooth the curves; the raw ones stay behind them."),
    _key("p", "penalty", "Penalty", "Draw the L2 and L1 penalty beside the losses."),
    _key("d", "move_run", "Detach", "Let the next run train in its own process, which outlives this app, or in it."),
    _key("h", "hand_over", "Hand over", "Let the run go on in its own process, which outlives this app."),
    _key("n", "next_run", "Next run", "Show the next of several runs that are watched, this one behind it."),
    _key("left", "cursor(-1)", "Cursor", "Read the epoch before; the first press sets the cursor.", "←"),
    _key("right", "cursor(1)", "Cursor", "Read the epoch after.", "→", show=False),
    _key("home", "cursor_first", "First", "Put the cursor on the first epoch.", show=False),
    _key("end", "cursor_last", "Last", "Put the cursor on the newest epoch.", show=False),
    _key("tab", "app.focus_next", "Next field", "Go to the next field.", show=False),
    _key("shift+tab", "app.focus_previous", "Field before", "Go to the field before.", show=False),
    _key("question_mark", "help", "Help", "Explain keys, curves and words.", "?"),
    _key("f1", "help", "Help", "The same, also in a field that takes a ? as text.", identity="help-in-text"),
    _key("q", "app.quit", "Quit", "Quit; asks what is to become of a run that trains in this app."),
    QUIT_ANYWHERE,
    SUSPEND,
]
"""Keys of the lab: key, action, name in the footer, a sentence for the help."""
