"""URLs are told through apprise; their secrets are told to nobody."""

import subprocess
import sys
from typing import Any

import pytest

from regtui.notify import VARIABLE
from regtui.notify.asked import NotifyError, asked, environment_for
from regtui.notify.notices import Notice

pytest.importorskip("apprise", reason="the extra `notify` is not installed")

NOTICE = Notice("overfitting", "regtui: <b>r</b> *overfits*", "one\ntwo")


def test_a_service_gets_title_and_body_as_they_are(service: Any) -> None:
    (way,) = asked([service.url("place")]).services
    assert way.tell(NOTICE) == ""
    (posted,) = service.told
    assert (posted["title"], posted["message"], posted["type"]) == (NOTICE.title, NOTICE.body, "warning")


def test_why_somebody_was_not_told_is_said_in_a_few_words(service: Any, closed: str) -> None:
    refused, nobody = asked([service.url("refused"), closed]).services
    assert refused.tell(NOTICE) == "it answered 500"
    assert nobody.tell(NOTICE) == "no connection, or no answer in time"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("json://someone:secret@127.0.0.1:9/secret", "json://127.0.0.1"),
        ("mailto://someone:secret@example.org", "mailto://example.org"),
        ("tgram://123456789:secretsecretsecretsecretsecretsecr/12315544/", "tgram://"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "https://hooks.slack.com"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://"),
        ("ntfy://secret", "ntfy://"),
        ("ntfys://ntfy.example.org/secret", "ntfys://ntfy.example.org"),
    ],
)
def test_of_a_url_only_scheme_and_machine_are_shown(url: str, name: str) -> None:
    (way,) = asked([url]).services
    assert way.name == name


@pytest.mark.parametrize("word", ["nothing://secret", "json://", "ntfy:secret", "secret\x1b[2J://x", "", "off"])
def test_what_nobody_knows_is_refused_without_its_secrets(word: str) -> None:
    with pytest.raises(NotifyError) as refused:
        asked([word])
    assert "secret" not in str(refused.value)
    assert str(refused.value).isprintable()


def test_the_terminal_and_its_bell_need_no_apprise() -> None:
    script = (
        "import sys\nsys.modules['apprise'] = None\n"
        "from regtui.notify.asked import asked, NotifyError\n"
        "print(asked(['bell', 'terminal']).terminal, asked(['bell']).terminal)\n"
        "try:\n    asked(['json://secret@x'])\nexcept NotifyError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    first, second = done.stdout.splitlines()
    assert first == "terminal bell"
    assert "pip install 'regtui[notify]'" in second
    assert "secret" not in second


def test_a_process_without_a_terminal_is_given_the_urls_by_its_environment() -> None:
    assert environment_for(["bell", "json://a/b c", "json://d"]) == {VARIABLE: "json://a/b%20c json://d"}
