"""Numbers, axes, elements and labels: the small parts of the page."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.view import account, number
from sluice.view.chart import label_rows
from sluice.view.html import Html, element, escape, join
from sluice.view.scale import Scale


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (number.count(1234567), "1,234,567"),
        (number.share(1, 3), "33.3 %"),
        (number.share(0, 3), "0 %"),
        (number.share(1, 100_000), "< 0.1 %"),
        (number.share(99_999, 100_000), "> 99.9 %"),
        (number.share(0, 0), "–"),
        (number.short(0.05), "0.05"),
        (number.short(1200), "1,200"),
        (number.short(35_000), "35k"),
        (number.short(1_200_000), "1.2M"),
        (number.short(-2.5), "-2.5"),
        (number.short(100), "100"),
        (number.exact(1 / 3), "0.3333"),
        (number.exact(1024.0), "1,024"),
        (number.exact(0.00001234), "1.23e-05"),
        (number.with_unit(200, "px"), "200 px"),
        (number.with_unit(0.5, "share"), "0.5"),
        (number.duration(0.45), "0.45 s"),
        (number.duration(12.34), "12.3 s"),
        (number.duration(245), "4 min 05 s"),
        (number.duration(11_520), "3 h 12 min"),
        (number.size(999), "999 B"),
        (number.size(12_340), "12.3 kB"),
        (number.size(340_000_000), "340 MB"),
    ],
)
def test_numbers_read_as_people_write_them(made: str, text: str) -> None:
    assert made == text


@given(st.text())
def test_no_text_leaves_its_element(text: str) -> None:
    made = element("p", text, title=text)
    inside = made.removeprefix('<p title="').removesuffix("</p>")
    assert "<" not in inside
    assert inside.count('"') == 1
    assert inside.count(">") == 1
    made.encode("utf-8")


def test_elements_nest_and_leave_out_what_is_absent() -> None:
    made = element("div", None, Html("<b>x</b>"), "a & b", cls="k", id=None, hidden=True, x=1.5)
    assert made == '<div class="k" hidden x="1.5"><b>x</b>a &amp; b</div>'
    assert join("<", Html("<br>")) == "&lt;<br>"
    assert escape("\ud800\x00") == "\ufffd\ufffd"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 8))
def test_linear_ticks_are_few_and_on_the_axis(low: float, span: float, most: int) -> None:
    scale = Scale(low, low + span)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most
    assert all(low - span * 1e-6 <= t <= low + span * (1 + 1e-6) for t in ticks)


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e9), st.integers(3, 8))
def test_logarithmic_ticks_are_few_and_on_the_axis(low: float, factor: float, most: int) -> None:
    scale = Scale(low, low * factor, log=True)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most
    assert all(low * (1 - 1e-6) <= t <= low * factor * (1 + 1e-6) for t in ticks)


@given(st.lists(st.floats(0, 100), max_size=6))
def test_labels_in_one_row_stand_apart(positions: list[float]) -> None:
    rows = label_rows(sorted(positions))
    placed = list(zip(sorted(positions), rows, strict=True))
    for i, (x, row) in enumerate(placed):
        assert all(abs(x - other) >= 48 for other, r in placed[:i] if r == row)


def test_what_endpoints_were_paid_is_a_row_an_operator() -> None:
    spent = {
        "video_caption_tokens_in": 1_234_567,
        "video_caption_tokens_out": 89,
        "video_caption_cost_usd": 0.25,
        "vlm_tokens_in": 5,
    }
    rows = re.findall(r"<tr>.*?</tr>", str(account.spending(spent)))
    cells = [re.findall(r">([^<>]+)<", row) for row in rows]
    assert cells == [
        ["operator", "tokens sent", "tokens replied", "USD"],
        ["video_caption", "1,234,567", "89", "0.2500"],
        ["vlm", "5", "–", "–"],
    ]
