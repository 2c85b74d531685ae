"""Names of locations: parsing, joining, equality, pickling, and what they refuse."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import StorageError
from sluice.storage import Location, locate

# Any name that both Linux and object stores take: no '/', no control characters, not '.' or '..'.
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1).filter(
    lambda name: name not in (".", "..")
)
UNTIMED = settings(deadline=None)  # machines that run tests are busy
ROOTS = ["/data", "/", "s3://bucket", "s3://bucket/a b/ü", "gs://b-1/x", "az://c/y", "https://host/dir"]


@pytest.mark.parametrize(
    ("text", "url", "name", "stem", "suffix"),
    [
        ("/a/b.JPG", "/a/b.JPG", "b.JPG", "b", ".jpg"),
        ("/a//./b/", "/a/b", "b", "b", ""),
        ("//a", "/a", "a", "a", ""),
        ("/a/../b.tar.gz", "/b.tar.gz", "b.tar.gz", "b.tar", ".gz"),
        ("/", "/", "", "", ""),
        ("/a/.hidden", "/a/.hidden", ".hidden", ".hidden", ""),
        ("/a/dot.", "/a/dot.", "dot.", "dot.", ""),
        ("file:///a%20b/c%23.png", "/a b/c#.png", "c#.png", "c#", ".png"),
        ("file://localhost/x", "/x", "x", "x", ""),
        ("/50% #1?.png", "/50% #1?.png", "50% #1?.png", "50% #1?", ".png"),
        ("s3://bucket", "s3://bucket", "bucket", "bucket", ""),
        ("S3://bucket/", "s3://bucket", "bucket", "bucket", ""),
        (
            "s3://bucket/a b(1)#%20?.PNG",
            "s3://bucket/a b(1)#%20?.PNG",
            "a b(1)#%20?.PNG",
            "a b(1)#%20?",
            ".png",
        ),
        ("s3://bucket/dir/", "s3://bucket/dir", "dir", "dir", ""),
        ("http://h/a%20b.jpg?sig=1%2F2", "http://h/a%20b.jpg?sig=1%2F2", "a b.jpg", "a b", ".jpg"),
        ("https://h/ü x.jpg#frag", "https://h/%C3%BC%20x.jpg", "ü x.jpg", "ü x", ".jpg"),
        ("https://h", "https://h/", "h", "h", ""),
    ],
)
def test_names(text: str, url: str, name: str, stem: str, suffix: str) -> None:
    location = Location(text)
    assert (location.url, location.name, location.stem, location.suffix) == (url, name, stem, suffix)
    assert Location(location.url) == location


def test_relative_and_home_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Location("x/y").url == f"{tmp_path}/x/y"
    assert Location(Path("x")).path == tmp_path / "x"
    assert Location("~/z").url == f"{tmp_path}/me/z"
    assert Location("~").url == f"{tmp_path}/me"
    assert Location("~other/z").url == f"{tmp_path}/~other/z"
    assert locate("x").url == f"{tmp_path}/x"
    monkeypatch.chdir("/")
    assert locate("x").url == "/x"


def test_links_are_kept_but_dotdot_leaves_the_target(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    assert Location(tmp_path / "link" / "f").url == f"{tmp_path}/link/f"
    assert Location(f"{tmp_path}/link/../f").path == (tmp_path / "real").resolve() / "f"


@pytest.mark.parametrize("root", ROOTS)
@UNTIMED
@given(names=st.lists(NAMES, min_size=1, max_size=3))
def test_join_then_parent_returns(root: str, names: list[str]) -> None:
    base = Location(root)
    below = base / "/".join(names)
    assert below.name == names[-1]
    assert below == Location(below.url)
    assert hash(below) == hash(Location(below.url))
    assert pickle.loads(pickle.dumps(below)) == below  # noqa: S301 - our own bytes
    for _ in names:
        below = below.parent
    assert below.url.rstrip("/") == base.url.rstrip("/")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(
    "part", ["", "/", "/etc", "..", "a/../b", "a/..", "../a", "a\0b", ".", "./a", "a//b"]
)
def test_join_refuses_what_leads_elsewhere(root: str, part: str) -> None:
    with pytest.raises(StorageError):
        Location(root) / part


@pytest.mark.parametrize(
    "text",
    ["", "a\0b", "ftp://h/x", "s3://", "s3:///key", "s3://b/a//b", "s3://b/../x", "s3://b/a\nb", "http://",
     "http://[::1/x", "file://otherhost/x", "file:///a%00b", "s3://b/\ud800", "/a\ud800", "http://h/a\nb"],
)  # fmt: skip
def test_refused_urls(text: str) -> None:
    with pytest.raises(StorageError) as caught:
        Location(text)
    assert caught.value.fix


def test_other_spellings_are_named() -> None:
    with pytest.raises(StorageError, match="s3://"):
        Location("s3a://bucket/x")


def test_immutable_and_shown_by_url() -> None:
    location = Location("/a")
    with pytest.raises(AttributeError):
        location.url = "/b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del location.url
    assert repr(location) == "Location('/a')"
    assert str(location) == "/a"
    assert location != "/a"
    assert locate("/a") is locate("/a")


def test_only_local_locations_have_a_path() -> None:
    assert Location("/a").is_local
    assert not Location("s3://b/a").is_local
    with pytest.raises(StorageError, match="not on this machine"):
        _ = Location("s3://b/a").path


def test_roots_are_their_own_parents() -> None:
    for root in ("/", "s3://bucket", "https://host/"):
        assert Location(root).parent == Location(root)
    assert Location("http://h/a/b?sig=1").parent.url == "http://h/a?sig=1"
    assert (Location("http://h/a?sig=1") / "b c").url == "http://h/a/b%20c?sig=1"


def test_local_work_loads_no_client_for_object_stores() -> None:
    program = "import sys, sluice.storage as s; s.locate('/x').exists(); print('obstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
