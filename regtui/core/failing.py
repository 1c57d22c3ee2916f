"""What an exception is worth in the log of a run: one sentence."""

from regtui.core.text import beginning

LONGEST_REASON = 300
"""Frameworks put whole graphs into their messages; a reason is a sentence."""


def failure(error: BaseException, *, needs_less: str = "") -> str:
    """Put an exception into one readable sentence; out of memory is recognised in every framework.

    `needs_less` says what would need less memory.
    """
    try:
        said = " ".join(str(error).split())
    except Exception:  # a stranger's error may fail at its own words
        said = ""
    kind = type(error).__name__
    signs = ("out of memory", "OOM", "can't allocate memory", "not enough memory", "failed to allocate memory")
    if (
        isinstance(error, MemoryError)
        or kind in {"OutOfMemoryError", "ResourceExhaustedError"}
        or any(sign in said for sign in signs)
    ):
        return "out of memory" + (f": {needs_less} needs less" if needs_less else "")
    said = beginning(said, LONGEST_REASON)
    return f"{kind}: {said}" if said else kind
