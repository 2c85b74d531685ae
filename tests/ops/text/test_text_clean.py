"""Mappers that clean texts: what they take out is gone, what they made they leave alone, nothing hangs."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.operator import registry
from sluice.operator.mapping import MapperChain
from sluice.ops.text.fix_whitespace import text_fix_whitespace
from sluice.ops.text.pii import matches
from sluice.ops.text.redact_pii import text_redact_pii
from sluice.ops.text.remove_emails import text_remove_emails
from sluice.ops.text.remove_links import text_remove_links
from sluice.sample import Item, Sample

ANY_TEXT = st.text(alphabet=st.characters(), max_size=200)
SPACED = st.text(alphabet="ab \t\r\n\v\f\x85\xa0\u2003\u2028\u200b\u3000\ufeff", max_size=60)
LINKED = st.lists(
    st.sampled_from(
        ["http://", "https://a.org", "www.", "www.b.c/d", "x", ")", "(", ".", " ", "<", '"', "é", "_"]
    ),
    max_size=14,
).map("".join)
ADDRESSED = st.lists(
    st.sampled_from(
        [
            "a@b.cc",
            "@",
            "c.dd",
            "_",
            ".",
            "-",
            " ",
            "x",
            "7",
            "10.0.0.1",
            "4111 1111 1111 1111",
            "+4930123456",
        ]
    ),
    max_size=12,
).map("".join)


def cleaned(name: str, text: str, **settings: Any) -> str:
    """The text after one mapper, as a run applies it."""
    chain = MapperChain([registry().bind(name, settings)])
    (sample,) = chain([Sample("i", "k", (Item("text", text=text),))])
    assert sample.notes == ()
    assert sample.items[0].text is not None
    return sample.items[0].text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lâ€™Ã©tÃ©", "l’été"),
        ("&lt;b&gt; &amp; &eacute;", "<b> & é"),
        ("<p>&lt;</p>", "<p>&lt;</p>"),
        ("one\r\ntwo\x00\x1b[31m", "one\ntwo"),
        ("ﬁne ＡＢＣ", "fine ABC"),
        ("\ud83d\ude00 \ud800", "\U0001f600 \ufffd"),
        ("e\u0301", "\xe9"),
        ("“quoted” 漢字", "“quoted” 漢字"),
        ("", ""),
    ],
)
def test_broken_encodings_are_mended(text: str, wanted: str) -> None:
    assert cleaned("text_fix_unicode", text) == wanted


def test_quotes_and_forms_are_a_choice() -> None:
    assert cleaned("text_fix_unicode", "“x”", straight_quotes=True) == '"x"'
    assert cleaned("text_fix_unicode", "\xe9", normalization="NFD") == "e\u0301"
    assert cleaned("text_fix_unicode", "e\u0301", normalization="none") == "e\u0301"


@given(ANY_TEXT)
@settings(deadline=None)
def test_mended_texts_can_be_stored_and_are_in_normal_form(text: str) -> None:
    found = cleaned("text_fix_unicode", text)
    found.encode()
    assert unicodedata.is_normalized("NFC", found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a  b\t\tc\xa0d\u3000e", "a b c d e"),
        ("a \r\n b\rc\u2028d", "a\nb\nc\nd"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("\ufeffa\u200bb ", "ab"),
        ("می\u200cروم", "می\u200cروم"),
        (" \n\t ", ""),
    ],
)
def test_spaces_and_line_ends_become_even(text: str, wanted: str) -> None:
    assert text_fix_whitespace(text) == wanted


@given(st.one_of(ANY_TEXT, SPACED), st.integers(0, 3))
@settings(deadline=None)
def test_even_spaces_stay_and_no_other_character_changes(text: str, blank: int) -> None:
    found = text_fix_whitespace(text, max_blank_lines=blank)
    assert text_fix_whitespace(found, max_blank_lines=blank) == found
    assert "\n" * (blank + 2) not in found
    assert not any(bad in found for bad in ("  ", " \n", "\n ", "\t", "\r", "\xa0"))
    gone = "\u200b\u2060\ufeff"
    assert "".join(found.split()) == "".join(c for c in "".join(text.split()) if c not in gone)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("see http://a.org/b?c=d#e now", "see  now"),
        ("(see https://a.org/b_(c)).", "(see )."),
        ('<a href="ftp://a.org/x">www.B.de</a>', '<a href=""></a>'),
        ("HTTPS://A.ORG, www.x", ", "),
        ("xhttp://a.org http:// www. a.org e.g.", "xhttp://a.org http:// www. a.org e.g."),
        ("http://例え.jp/é", ""),
    ],
)
def test_links_go_and_the_sentence_stays(text: str, wanted: str) -> None:
    assert text_remove_links(text) == wanted


def test_a_link_can_leave_a_mark() -> None:
    assert text_remove_links("a http://b.c.", replacement="[link]") == "a [link]."


@given(st.one_of(ANY_TEXT, LINKED))
@settings(deadline=None)
def test_where_links_are_gone_there_are_none(text: str) -> None:
    found = text_remove_links(text)
    assert text_remove_links(found) == found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("write to jane.doe+x@mail.example.co.uk, please", "write to , please"),
        ("c@d.ef_x@y.zz", ""),
        ("@handle a@b x@y.z", "@handle a@b x@y.z"),
    ],
)
def test_addresses_go(text: str, wanted: str) -> None:
    assert text_remove_emails(text) == wanted


@given(st.one_of(ANY_TEXT, ADDRESSED), st.sampled_from(["", "<email>", "[gone]"]))
@settings(deadline=None)
def test_where_addresses_are_gone_there_are_none(text: str, replacement: str) -> None:
    found = text_remove_emails(text, replacement=replacement)
    assert list(matches("email", found)) == []


def test_personal_data_is_replaced_by_its_kind() -> None:
    text = "jane@example.org at 192.168.0.1, 4111 1111 1111 1111, call +49 30 1234567"
    assert text_redact_pii(text) == "<email> at <ip>, <card>, call <phone>"
    assert text_redact_pii(text, kinds=("ip",)) == text.replace("192.168.0.1", "<ip>")
    assert text_redact_pii("jane@b.org", replacement="user@example.com") == "user@example.com"
    assert text_redact_pii("no data, version 1.2.3.4.5, 4111 1111 1111 1112") == (
        "no data, version 1.2.3.4.5, 4111 1111 1111 1112"
    )


@given(st.one_of(ANY_TEXT, ADDRESSED))
@settings(deadline=None)
def test_what_was_redacted_holds_no_address_and_stays_as_it_is(text: str) -> None:
    found = text_redact_pii(text)
    assert not any(matches("email", found))
    assert text_redact_pii(found) == found


NAMES = [
    "text_fix_unicode",
    "text_fix_whitespace",
    "text_remove_links",
    "text_remove_emails",
    "text_redact_pii",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "piece", ["a@b.cc_", "www.", "http://a(", "1.2.3.4", "4 1", " \n", "&amp;", "Ã©", "\ud800", "+1(2)3"]
)
def test_no_large_text_takes_long(name: str, piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.perf_counter()
    cleaned(name, text)
    assert time.perf_counter() - started < 10
