"""Services that apprise knows, by URL: ntfy, Slack, Telegram, mail and a hundred more. Its only importer."""

import logging
import re
import threading
import warnings
from typing import Any
from urllib.parse import urlsplit

from regtui.core.failing import failure
from regtui.notify.notices import Kind, Notice

APPRISE_LOGGER = "apprise"

TYPES: dict[Kind, str] = {
    "end": "success", "failure": "failure", "divergence": "failure", "overfitting": "warning", "stall": "warning",
    "recovery": "info",
}  # fmt: skip
"""Why somebody is told -> what apprise calls it, for a colour."""

STATUS = re.compile(r"error=(\d{3})")
"""How apprise logs an answer of HTTP that was none; more of what it says is not repeated, it may hold a secret."""


class Service:
    """Somebody behind a URL; the URL holds secrets and is never shown."""

    def __init__(self, url: str) -> None:
        """Understand the URL; raises ImportError without apprise, ValueError where that does not know it."""
        apprise = _apprise()
        asset = _asset(apprise)
        plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if plugin is None:
            raise ValueError("is no URL that apprise knows")
        self.name = shown(url, plugin)
        self._sender = apprise.Apprise(asset=asset)
        self._sender.add(plugin)

    def tell(self, notice: Notice) -> str:
        """Send, and wait for the answer as long as apprise does: four seconds for a connection, four for an answer."""
        heard = _Heard()
        logger = logging.getLogger(APPRISE_LOGGER)
        logger.addHandler(heard)
        try:
            # As text: a run's name must be no markup where it arrives.
            told = self._sender.notify(
                title=notice.title, body=notice.body, notify_type=TYPES[notice.kind], body_format="text"
            )
        except Exception as error:  # of one of a hundred plug-ins
            return failure(error).partition(":")[0]
        finally:
            logger.removeHandler(heard)
        return "" if told else heard.reason


class _Heard(logging.Handler):
    """Hears why apprise could not send something, in the thread that waits for it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = "the service did not take it"
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        said = record.getMessage()
        status = STATUS.search(said)
        if status:
            self.reason = f"it answered {status[1]}"
        elif "onnection" in said:
            self.reason = "no connection, or no answer in time"


def shown(url: str, plugin: Any) -> str:
    """Give what a URL may be called: its scheme, and its host where that is a machine and no token."""
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    if scheme in ("http", "https"):
        return f"{scheme}://{urlsplit(url).hostname}"
    is_machine = any("{host}" in template for template in plugin.templates) and bool(plugin.host)
    named = host.partition(":")[0]
    return f"{scheme}://{named}" if is_machine and ("." in named or named == "localhost") else f"{scheme}://"


def _asset(apprise: Any) -> Any:
    """Give what apprise is to call itself, and have it send in the thread that asks it to."""
    asked = {"app_id": "regtui", "app_desc": "regtui", "app_url": "", "async_mode": False}
    try:
        # With a time limit it sends in threads that the end of the process would wait for.
        return apprise.AppriseAsset(**asked, service_timeout=0)
    except (AttributeError, TypeError):  # before 2.0 there was no limit, and no such thread
        return apprise.AppriseAsset(**asked)


def _apprise() -> Any:
    with warnings.catch_warnings():
        # It loads all of its plug-ins, one of which has a module that Python 3.13 no longer has.
        warnings.simplefilter("ignore")
        import apprise

        # With the plug-ins, which are loaded when they are first asked for.
        apprise.Apprise.instantiate("json://localhost")
    return apprise
