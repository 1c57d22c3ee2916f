"""What a person asked for by `--notify` and REGTUI_NOTIFY."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from regtui.notify import VARIABLE
from regtui.notify.audience import Way
from regtui.notify.terminal import MODES, Mode

MOST_URLS = 20
"""Each has a thread; nobody reads more."""

SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,29}", re.IGNORECASE)


class NotifyError(ValueError):
    """Something cannot be told; says why without the secrets of a URL."""


class Asked(NamedTuple):
    """What was asked for."""

    terminal: Mode
    """How the terminal tells."""
    services: tuple[Way, ...]
    """The services behind the URLs."""
    urls: tuple[str, ...] = ()
    """The URLs, which hold secrets: for a process that tells them in the place of this one."""


NOBODY = Asked("off", ())
"""Nobody is told."""


def asked(words: Sequence[str]) -> Asked:
    """Understand what was asked for; raises NotifyError. Without a URL apprise is not imported."""
    terminal: Mode = "off"
    urls = []
    for word in dict.fromkeys(words):
        if word in MODES[1:]:
            terminal = max(terminal, word, key=MODES.index)
        elif "://" in word:
            urls.append(word)
        else:
            raise NotifyError("must be terminal, bell or a URL such as ntfy://TOPIC.")
    if len(urls) > MOST_URLS:
        raise NotifyError(f"takes at most {MOST_URLS} URLs, not {len(urls)}.")
    return Asked(terminal, tuple(map(_service, urls)), tuple(urls))


def _service(url: str) -> Way:
    scheme = url.partition("://")[0]
    named = f" with {scheme}://" if SCHEME.fullmatch(scheme) else ""
    try:
        from regtui.notify.apprised import Service

        return Service(url)
    except ImportError:
        raise NotifyError(
            f"takes a URL{named} only where apprise is installed: pip install 'regtui[notify]'."
        ) from None
    except ValueError:
        raise NotifyError(
            f"has a URL{named} that apprise does not know or cannot read: "
            "https://appriseit.com lists them, such as ntfy://TOPIC."
        ) from None


def environment_for(words: Sequence[str]) -> Mapping[str, str]:
    """Give what the environment of a process without a terminal says, so that it tells whoever is told here.

    A URL goes that way and not as an argument, which every user of the machine can read.
    """
    return {VARIABLE: " ".join(word.replace(" ", "%20") for word in words if "://" in word)}
