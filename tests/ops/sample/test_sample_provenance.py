"""What samples state of their licence, origin and opt-out, and how a run tells what it does not know."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.cli.run import tell
from sluice.errors import Declined, MissingError, PlanError, SampleError
from sluice.operator import registry
from sluice.ops.sample.licence import sample_licence
from sluice.ops.sample.opt_out_date import sample_opt_out_date
from sluice.ops.sample.source_url import sample_source_url
from sluice.ops.sample.spellings import OURS, bare, table
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Item, Media, Sample


def _with(*metadata: Any, **fields: Any) -> Sample:
    items = tuple(Item("metadata", name="json", text=json.dumps(each)) for each in metadata)
    return Sample(id="0", key="0", items=items, fields=fields)


def _broken(text: str = "{") -> Sample:
    return Sample(id="0", key="0", items=(Item("metadata", name="json", media=Media(data=text.encode())),))


@pytest.mark.parametrize(
    ("written", "identifier"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        (" cc-by-4.0 ", "CC-BY-4.0"),
        ("CC_BY_SA_3.0", "CC-BY-SA-3.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "CC-BY-NC-SA-4.0"),
        ("Attribution-NonCommercial License v2.0", "CC-BY-NC-2.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.0/", "CC-BY-NC-ND-2.0"),
        ("https://www.creativecommons.org/licenses/by/4.0/deed.en", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("CC0", "CC0-1.0"),
        ("MIT License", "MIT"),
        ("the mit licence", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("http://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
        ("Open Government Licence v3.0", "OGL-UK-3.0"),
    ],
)
def test_plain_spellings_become_spdx_identifiers(written: str, identifier: str) -> None:
    assert sample_licence(_with({"license": written})) == identifier


@pytest.mark.parametrize(
    "written",
    [
        "CC BY",
        "CC BY 5.0",
        "https://creativecommons.org/licenses/by/3.0/us/",
        "CC BY 4.0 or GPL",
        "not MIT",
        "© 2020 me",
        "许可",
    ],
)
def test_what_is_not_plainly_one_stays_as_it_is_written(written: str) -> None:
    assert sample_licence(_with({"licence": f" {written}\n"})) == written


@pytest.mark.parametrize("identifier", sorted({i for i in table(OURS).values() if i}))
def test_an_identifier_is_its_own_spelling(identifier: str) -> None:
    assert sample_licence(_with(license=identifier.lower())) == identifier


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_a_reason(text: str) -> None:
    sample = _with(license=text)
    if not bare(text):
        with pytest.raises(Declined):
            sample_licence(sample)
        return
    with suppress(Declined):  # the words for unknown
        found = sample_licence(sample)
        assert found in (text.strip(), *table(OURS).values())
        assert sample_licence(_with(license=found)) == found


@given(st.text(max_size=40))
def test_case_and_blanks_say_nothing(text: str) -> None:
    if text.isascii():
        assert bare(text) == bare(f"  {text.upper()} ")


def test_the_first_name_that_holds_a_text_counts() -> None:
    sample = _with(
        {"license": 4}, {"license_name": " "}, license_url="https://creativecommons.org/licenses/by/2.0/"
    )
    assert sample_licence(sample) == "CC-BY-2.0"
    nested = _with({"license": {"name": "MIT"}}, licence="CC0")
    assert sample_licence(nested) == "CC0-1.0"
    assert sample_licence(nested, fields=["license.name"]) == "MIT"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (_with(), "no such field"),
        (_with({"license": None}, ["license"], 7, licence="  "), "no such field"),
        (_with({"license": 4}), "not a text"),
        (_with({"license": "\ud800"}), "not a text"),
        (_with({"license": "x" * 10_001}), "not a text"),
        (_with({"license": "N/A"}), "said to be unknown"),
        (_with(license="?"), "said to be unknown"),
        (_broken(), "metadata not readable"),
        (_broken("[" * 100_000), "metadata not readable"),
        (
            Sample("0", "0", (Item("metadata", media=Media(uri="/nonexistent/gone")),)),
            "metadata not readable",
        ),
    ],
)
def test_a_licence_that_is_not_stated_is_null_with_a_reason(sample: Sample, reason: str) -> None:
    with pytest.raises(Declined) as caught:
        sample_licence(sample)
    assert caught.value.reason == reason


def test_another_table_counts_by_what_it_holds(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("licences: [{id: House-1.0, spellings: [our terms]}]")
    prints = {registry().bind("sample_licence", {"spellings": s}).fingerprint for s in (OURS, str(own))}
    assert len(prints) == 2
    assert sample_licence(_with(license="Our Terms"), spellings=str(own)) == "House-1.0"
    assert sample_licence(_with(license="MIT License"), spellings=str(own)) == "MIT License"


@pytest.mark.parametrize(
    "text",
    ["[", "7", "licences: 3", "licences: [{spellings: [a]}]", "licences: [{id: A, spellings: [x]}, {id: X}]"],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(PlanError):
        sample_licence(_with(license="a"), spellings=str(own))


def test_a_table_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        _ = registry().bind("sample_licence", {"spellings": str(tmp_path / "none.yaml")}).fingerprint


def test_source_urls_are_given_as_they_are_written() -> None:
    assert sample_source_url(_with({"url": " https://a.example/b?c=d "})) == "https://a.example/b?c=d"
    assert sample_source_url(_with(image_url="s3://bucket/key")) == "s3://bucket/key"
    for written in ("a.jpg", "mailto:me@a.example", "//a.example/b", "https://[", "http:///path"):
        with pytest.raises(Declined) as caught:
            sample_source_url(_with(url=written))
        assert caught.value.reason == "not a URL"


@pytest.mark.parametrize(
    ("stated", "day"),
    [
        ("2025-03-31", "2025-03-31"),
        ("20250331", "2025-03-31"),
        ("2025-03-31T23:30:00", "2025-03-31"),
        ("2025-03-31T23:30:00-05:00", "2025-04-01"),
        ("2025-03-31T23:30:00Z", "2025-03-31"),
        (date(2025, 3, 31), "2025-03-31"),
        (datetime(2025, 3, 31, 1, tzinfo=timezone(timedelta(hours=2))), "2025-03-30"),
        (datetime(2025, 3, 31, 1, tzinfo=UTC), "2025-03-31"),
        (date(987, 1, 2), "0987-01-02"),
    ],
)
def test_opt_outs_are_days_in_utc(stated: Any, day: str) -> None:
    assert sample_opt_out_date(_with(opt_out_date=stated)) == day


@pytest.mark.parametrize("stated", [None, False, "", " "])
def test_no_opt_out_is_null(stated: Any) -> None:
    with pytest.raises(Declined) as caught:
        sample_opt_out_date(_with({"opt_out": stated}, opted_out=stated))
    assert caught.value.reason == "no opt-out stated"


@pytest.mark.parametrize(
    "stated",
    [True, 0, 1743379200, "yes", "31.03.2025", "false", "0001-01-01T00:00:00+05:00", ["2025-03-31"], {}],
)
def test_an_opt_out_that_is_not_understood_fails_the_sample(stated: Any) -> None:
    with pytest.raises(SampleError) as caught:
        sample_opt_out_date(_with({"opt_out": stated}))
    assert not isinstance(caught.value, Declined)
    assert caught.value.reason == "opt-out without a date"


def test_an_opt_out_may_hide_in_damaged_metadata() -> None:
    with pytest.raises(SampleError) as caught:
        sample_opt_out_date(_broken())
    assert not isinstance(caught.value, Declined)


ROWS = {
    "text": ["one", "two", "three", "four", "five"],
    "license": ["CC BY 4.0", None, "unknown", "MIT", None],
    "opt_out_date": [None, None, None, date(2025, 3, 31), None],
    "url": ["https://a.example/1"] * 5,
}
STEPS = "  - measure: [sample_licence, sample_source_url]\n  - keep: {rule: sample_opt_out_date is null}\n"


def _run(folder: Path, write: str = "write: {path: out, format: jsonl}\n") -> dict[str, Any]:
    (folder / "in").mkdir(exist_ok=True)
    pq.write_table(pa.table(ROWS), folder / "in" / "a.parquet")
    recipe = loads(f"source: in\nsteps:\n{STEPS}{write}", source=str(folder / "in"))
    return run(recipe, workers=0, quiet=True, output=str(folder / "out"))


def test_a_run_says_how_many_of_the_samples_it_writes_are_of_unknown_licence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = _run(tmp_path)
    assert (summary["kept"], summary["dropped"]) == (4, 1)
    expected = "3 of 4 samples written are of unknown licence (sample_licence is null)"
    assert summary["warnings"] == [expected]
    tell(summary)
    assert f"warning: {expected}" in capsys.readouterr().err


def test_a_run_that_writes_nothing_warns_of_nothing(tmp_path: Path) -> None:
    assert _run(tmp_path, write="")["warnings"] == []
