"""The picture: valid, whole, and the same on every machine."""

from collections import Counter
from xml.etree import ElementTree

from regtui.charts import Span
from regtui.core.history import History
from regtui.core.text import printable
from regtui.report.page import page
from regtui.report.paint import as_text
from regtui.report.svg import COLOURS, GROUND, as_svg

SVG = "{http://www.w3.org/2000/svg}"


def folded(events) -> History:
    history = History()
    history.apply(events)
    return history


def luminance(colour: str) -> float:
    """Give the relative luminance of a colour, as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_letter_and_every_dot_of_the_page_is_in_the_picture(run):
    lines = page(folded(run()), 100, 36)
    root = ElementTree.fromstring(as_svg(lines, 100, "a run"))
    letters = "".join("".join(element.itertext()) for element in root.iter(f"{SVG}text"))
    text = as_text(lines, colour=False)
    assert Counter("".join(letters.split())) == Counter(
        sign for sign in text if not sign.isspace() and not 0x2800 <= ord(sign) < 0x2900
    )
    dots = sum(path.get("d").count("v3") for path in root.iter(f"{SVG}path"))
    assert dots == sum(bin(ord(sign) - 0x2800).count("1") for sign in text if 0x2800 <= ord(sign) < 0x2900)


def test_letters_stand_on_the_grid_of_cells():
    root = ElementTree.fromstring(as_svg([(Span("ab  c d", "text"), Span(" e", "valid"))], 10, ""))
    found = [(text.get("x"), text.get("textLength"), text.text) for text in root.iter(f"{SVG}text")]
    assert found == [("0", "20", "ab"), ("40", "30", "c d"), ("80", "10", "e")]


def test_the_epochs_that_overfit_are_tinted():
    root = ElementTree.fromstring(as_svg([(Span("a", "text"), Span("bc", "text", tinted=True))], 3, ""))
    assert [path.get("d") for path in root.iter(f"{SVG}path")] == ["M10 0h20v20h-20z"]


def test_a_picture_fetches_nothing_and_is_the_same_each_time(run):
    lines = page(folded(run()), 80, 30)
    picture = as_svg(lines, 80, "a run")
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert picture == as_svg(lines, 80, "a run")


def test_a_log_cannot_break_the_picture():
    evil = printable("<&>\"'\x07]]>")
    root = ElementTree.fromstring(as_svg([(Span(evil, "text"),), ()], 10, evil))
    assert root.find(f"{SVG}title").text == r"""<&>"'\x07]]>"""


def test_every_colour_can_be_read_on_the_ground():
    ground = luminance(GROUND)
    for name, colour in COLOURS.items():
        assert name == "black" or (luminance(colour) + 0.05) / (ground + 0.05) >= 3.9
