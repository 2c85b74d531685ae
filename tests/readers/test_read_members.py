"""Names of members: keys, item names, escapes that can always be undone."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sluice.sample.members import (
    is_unsafe,
    join_member,
    member_type,
    readable_name,
    safe_member,
    sniff_extension,
    split_member,
)

NAMES = st.text(st.sampled_from("ab.%25E/é ~"), max_size=14)


@pytest.mark.parametrize(
    ("member", "key", "name"),
    [
        ("a.jpg", "a", "jpg"),
        ("d1/a.left.png", "d1/a", "left.png"),
        ("d.1/a.jpg", "d.1/a", "jpg"),
        ("./a.jpg", "./a", "jpg"),
        ("README", "README", ""),
        (".hidden.jpg", ".hidden", "jpg"),
        ("._a.jpg", "._a", "jpg"),
        (".jpg", ".jpg", ""),
        ("..jpg", ".", "jpg"),
        ("a.", "a.", ""),
        ("a%2Eb.jpg", "a.b", "jpg"),
        ("100%.jpg", "100%", "jpg"),
    ],
)
def test_key_is_cut_at_the_first_dot_of_the_basename(member: str, key: str, name: str) -> None:
    assert split_member(member) == (key, name)
    assert join_member(key, name) == member


@given(NAMES)
@example("a%252E.b")
@example("..%2E.%2E")
@example("%2E")
def test_reading_a_member_and_writing_it_gives_the_same_name(member: str) -> None:
    assert join_member(*split_member(member)) == member


@given(NAMES, st.sampled_from(["jpg", "left.png", "txt"]))
@example("a.b.c", "jpg")
@example(".", "jpg")
@example("a%2Eb", "jpg")
def test_any_key_survives_a_tar(key: str, name: str) -> None:
    assume(key.rpartition("/")[2])
    assert split_member(join_member(key, name)) == (key, name)


@given(st.text(st.sampled_from("a./\0\n\udcff%\\é"), max_size=12))
def test_a_safe_name_cannot_escape_and_is_text(member: str) -> None:
    safe = safe_member(member)
    assert not is_unsafe(safe)
    safe.encode()
    assert "\0" not in safe
    assert safe_member(safe) == safe


@given(st.binary(max_size=12))
def test_names_of_any_bytes_become_text(raw: bytes) -> None:
    readable_name(raw).encode()


def test_broken_encodings_are_escaped_reversibly() -> None:
    assert readable_name("é%20".encode()) == "é%20"
    assert readable_name(b"caf\xe9%.jpg") == "caf%E9%25.jpg"


def test_types_go_by_the_last_extension_in_any_case() -> None:
    assert member_type("left.PNG") == ("image", "image/png")
    assert member_type("x.txt.gz")[0] == "other"
    assert member_type("cls")[0] == "other"
    assert member_type("caption") == ("text", "text/plain")


def test_first_bytes_tell_the_extension() -> None:
    assert sniff_extension(b"\xff\xd8\xff\xe0") == "jpg"
    assert sniff_extension(b"RIFF1234WEBP") == "webp"
    assert sniff_extension(b"\0\0\0\x20ftypavif") == "avif"
    assert sniff_extension(b"hello") == ""


@pytest.mark.parametrize(
    "extension",
    [
        "mp4",
        "m4v",
        "mov",
        "mkv",
        "webm",
        "avi",
        "mpg",
        "mpeg",
        "ogv",
        "ts",
        "m2ts",
        "mts",
        "wmv",
        "asf",
        "flv",
        "3gp",
    ],
)
def test_files_of_cameras_and_broadcasts_are_videos(extension: str) -> None:
    assert member_type(f"a.{extension.upper()}")[0] == "video"
