from regtui.charts import View, draw
from regtui.core.history import History


def test_an_empty_history_says_calmly_that_there_is_no_run_yet():
    text = "\n".join("".join(span.text for span in line) for line in draw(History(), 60, 10, View()))
    assert "No run yet" in text
