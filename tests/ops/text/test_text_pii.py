"""Personal data is found where it is, not found where it only looks alike, and in linear time."""

from __future__ import annotations

import time

import pytest

from sluice.ops.text.pii import PATTERNS, PersonalData, is_card, matches


def _found(kind: PersonalData, text: str) -> list[str]:
    return [match[0] for match in matches(kind, text)]


def test_emails_are_found() -> None:
    text = (
        "write to jane.doe+x@mail.example.co.uk, or x@y.com. Not a@b.c, not @name, not " + "a" * 65 + "@y.com"
    )
    assert _found("email", text) == ["jane.doe+x@mail.example.co.uk", "x@y.com"]


def test_addresses_are_found_and_version_numbers_times_and_code_are_not() -> None:
    text = "10.0.0.1, 192.168.1.255. 2001:db8::1 fe80::1%eth0 2001:0db8:85a3:0000:0000:8a2e:0370:7334"
    assert _found("ip", text) == [
        "10.0.0.1",
        "192.168.1.255",
        "2001:db8::1",
        "fe80::1",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    ]
    assert _found("ip", "v1.2.3.4.5, 1.2.3.4.5, 256.1.1.1, 12:30:45, a::b, std::add, ::1, 10.0.0.01a") == []


def test_cards_are_found_where_their_check_digit_is_right() -> None:
    assert _found("card", "4111 1111 1111 1111, 5500000000000004.") == [
        "4111 1111 1111 1111",
        "5500000000000004",
    ]
    assert _found("card", "4111-1111-1111-1112 and 0.4111111111111111") == []
    assert is_card("79927398713")
    assert not is_card("79927398710")


def test_phone_numbers_are_found_and_other_numbers_are_not() -> None:
    text = "+1 (212) 555-1234; +49 30 1234567, (212) 555-1234 or 212-555-1234, 1-800-555-0199."
    assert _found("phone", text) == [
        "+1 (212) 555-1234",
        "+49 30 1234567",
        "(212) 555-1234",
        "212-555-1234",
        "1-800-555-0199",
    ]
    assert _found("phone", "2125551234, 2020-555-1234, +123, 1/212, 112-555-1234, x+4930123456") == []


@pytest.mark.parametrize(
    "piece", ["a", "1", "a@", "x@a.", "1.", "1-", "+1", "4 ", "::", "2001:", "(2", "\ud800"]
)
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.process_time()
    for kind in PATTERNS:
        assert sum(1 for _ in matches(kind, text)) < len(text)
    assert time.process_time() - started < 5, "seconds for a million characters; it takes well under one"
