"""Settings that name things outside the code: what those hold, not their names, makes the value."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated

import pytest

from sluice.errors import MissingError
from sluice.operator import Field, Program, Registry, feature, measure
from sluice.operator.page import markdown
from sluice.operator.spec import ANY_SIZE, Contents, Inherited
from sluice.sample import Item, Sample


def _digest(path: str | None) -> str:
    if path is None:
        return "built in"
    if not Path(path).exists():
        raise MissingError(f"no list {path!r}", fix="give the path of one")
    return Path(path).read_text()


WordList = Annotated[str | None, Contents(_digest, lambda value: f"{value or 'ours'} (CC0)")]


@feature(scope="text", version=1, cost="header")
def listed(
    text: str, *, words: Annotated[WordList, Inherited()] = None, case: Annotated[bool, Inherited()] = False
) -> int:
    """How many of a list of words stand in the text; `words` is the list, `case` tells capitals apart."""
    known = Path(words).read_text().split() if words else ["the"]
    return sum(word in known for word in (text if case else text.lower()).split())


@measure(version=1, cost="header")
def text_listed(listed: int, *, words: WordList = None) -> Annotated[int, Field(unit="words")]:
    """The feature, as it is; `words` is the list."""
    return listed


@measure(version=1, cost="header")
def text_codes(text: str) -> Annotated[list[float], Field(unit="code points", size=ANY_SIZE)]:
    """The text's code points, as a vector."""
    return [float(ord(c)) for c in text]


@measure(version=1, cost="header")
def text_utf8(text: str) -> Annotated[bytes, Field(unit="UTF-8")]:
    """The text's bytes."""
    return text.encode()


KNOWN = Registry([listed.spec, text_listed.spec, text_codes.spec, text_utf8.spec])  # type: ignore[attr-defined]


def test_the_same_contents_elsewhere_are_the_same_operator(tmp_path: Path) -> None:
    one, two, other = tmp_path / "one", tmp_path / "two", tmp_path / "other"
    one.write_text("a b")
    two.write_text("a b")
    other.write_text("a c")
    prints = [KNOWN.bind("text_listed", {"words": str(path)}).fingerprint for path in (one, two, other)]
    assert prints[0] == prints[1] != prints[2]
    assert KNOWN.bind("text_listed").fingerprint not in prints


def test_what_is_missing_is_an_error_of_exit_code_3_and_not_before_it_is_asked_for(tmp_path: Path) -> None:
    bound = KNOWN.bind("text_listed", {"words": str(tmp_path / "none")})
    with pytest.raises(MissingError, match="no list"):
        _ = bound.fingerprint


def test_a_fingerprint_travels_so_that_contents_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("a")
    bound = KNOWN.bind("text_listed", {"words": str(path)})
    before = bound.fingerprint
    path.unlink()
    assert pickle.loads(pickle.dumps(bound)).fingerprint == before  # noqa: S301 - our own bytes


def test_a_feature_inherits_the_settings_of_the_operator_that_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("fox dog")
    bound = KNOWN.bind("text_listed", {"words": str(path)})
    assert bound.bindings["listed"].settings == {"words": str(path), "case": False}
    sample = Sample("a", "a", (Item("text", text="The Fox and the dog"),))
    assert Program([bound])([sample]).columns["text_listed"] == [[2]]


def test_what_is_said_of_the_feature_itself_goes_before_what_it_inherits(tmp_path: Path) -> None:
    bound = KNOWN.bind("text_listed", with_={"listed": {"case": True}})
    assert bound.bindings["listed"].settings == {"words": None, "case": True}


def test_pages_tell_where_the_default_comes_from() -> None:
    assert "ours (CC0)" in markdown(KNOWN.get("text_listed"), KNOWN)


def test_vectors_of_any_length_and_bytes_are_values() -> None:
    sample = Sample("a", "a", (Item("text", text="aé"), Item("text", text="b")))
    columns = Program([KNOWN.bind("text_codes"), KNOWN.bind("text_utf8")])([sample]).columns
    assert [v.tolist() for v in columns["text_codes"][0]] == [[97.0, 233.0], [98.0]]
    assert columns["text_utf8"] == [["aé".encode(), b"b"]]
