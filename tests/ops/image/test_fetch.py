"""image_fetch: what an item becomes, whose wish is heeded, and that no run asks for the same image twice."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from picture_server import Answer, PictureServer, serving
from sluice.errors import PlanError
from sluice.operator import registry
from sluice.operator.mapping import MapperChain
from sluice.ops.image.fetch import image_fetch, opts_out
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Item, Media, Note, Sample
from sluice.storage import download

HERE = {"allow_private": True, "retries": 0, "timeout_s": 5.0}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    monkeypatch.setattr(download, "BACK_OFF_S", 0.01)
    with serving() as server:
        yield server


def encoded(kind: str, colour: int = 9) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (colour, 90, 200)).save(file, kind)
    return file.getvalue()


def fetched(item: Item, **settings: Any) -> tuple[Item, tuple[Note, ...]]:
    chain = MapperChain([registry().bind("image_fetch", {**HERE, **settings})])
    (sample,) = chain([Sample("id", "key", (item,))])
    return sample.items[0], sample.notes


def reference(url: str, name: str = "3.bin") -> Item:
    return Item("image", "", name, fields={"url": url, "alt": "A cat"})


@pytest.mark.parametrize(
    ("kind", "name", "expected", "mime"),
    [
        ("JPEG", "3.bin", "3.jpg", "image/jpeg"),
        ("JPEG", "3.jpeg", "3.jpeg", "image/jpeg"),
        ("PNG", "3.jpg", "3.png", "image/png"),
        ("WEBP", "", "webp", "image/webp"),
        ("GIF", "jpg", "gif", "image/gif"),
    ],
)
def test_an_item_gets_its_bytes(
    server: PictureServer, kind: str, name: str, expected: str, mime: str
) -> None:
    data = encoded(kind)
    server.answers["/old"] = Answer(status=301, header=[("Location", "/new")])
    server.answers["/new"] = Answer(data, header=[("Content-Type", "text/plain")])
    item, notes = fetched(reference(f"{server.url}/old", name))
    assert notes == ()
    assert item.media is not None
    assert item.media.read() == data
    assert (item.name, item.content_type) == (expected, mime)
    digest = hashlib.sha256(data).hexdigest()
    final = {"sha256": digest, "final_url": f"{server.url}/new"}
    assert item.fields == {"url": f"{server.url}/old", "alt": "A cat", **final}


@pytest.mark.parametrize(
    "item",
    [
        Item("image", "image/png", "0.png", media=Media(data=b"x"), fields={"url": "http://127.0.0.1:1/a"}),
        Item("image", "image/png", "0.png", fields={"alt": "nowhere"}),
        Item("image", "image/png", "0.png", fields={"url": 7}),
    ],
)
def test_other_items_stay_as_they_are(item: Item) -> None:
    assert fetched(item) == (item, ())


def test_each_trouble_is_one_items_with_its_reason(server: PictureServer) -> None:
    server.answers |= {
        "/page": Answer(b"<!doctype html><html>" + b" " * 99),
        "/svg": Answer(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "/empty": Answer(b""),
        "/large": Answer(encoded("BMP")),
        "/mine": Answer(encoded("PNG"), header=[("X-Robots-Tag", "noimageai")]),
        "/good": Answer(encoded("PNG")),
    }
    paths = ("/page", "/svg", "/empty", "/large", "/mine", "/gone", "/good")
    items = tuple(reference(server.url + path, f"{k}.bin") for k, path in enumerate(paths))
    (sample,) = MapperChain([registry().bind("image_fetch", {**HERE, "max_bytes": 3000})])(
        [Sample("id", "key", (*items, Item("text", text="beside")))]
    )
    reasons = {note.item: (note.kind, note.reason) for note in sample.notes}
    told = ["not an image", "not an image", "not an image", "too large", "opted out", "HTTP 404"]
    assert reasons == {k: ("unreadable", f"image_fetch: {reason}") for k, reason in enumerate(told)}
    assert [item.media is not None for item in sample.items] == [False] * 6 + [True, False]


def test_private_addresses_are_refused_by_default(server: PictureServer) -> None:
    server.answers["/a"] = Answer(encoded("PNG"))
    _, notes = fetched(reference(f"{server.url}/a"), allow_private=False)
    assert [note.reason for note in notes] == ["image_fetch: private address"]
    assert not server.hits


def test_says_who_asks(server: PictureServer) -> None:
    server.answers["/a"] = Answer(encoded("PNG"))
    fetched(reference(f"{server.url}/a"), user_agent="mybot/2 (+https://a.example)")
    assert server.seen[0]["User-Agent"] == "mybot/2 (+https://a.example)"
    with pytest.raises(PlanError, match="ASCII"):
        registry().bind("image_fetch", {"user_agent": "a\r\nX: y"})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], False),
        (["noai"], True),
        (["NoImageAI"], True),
        (["noindex, nofollow"], False),
        (["noindex, noai"], True),
        (["noindex", "noimageai"], True),
        (["mybot: noai"], True),
        (["otherbot: noai"], False),
        (["otherbot: noindex, noai"], False),
        (["otherbot: noai, mybot: noimageai"], True),
        (["*: noai"], True),
        (["otherbot: noai", "noai"], True),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], True),
        (["max-image-preview: large, noai"], True),
        (["max-snippet:-1"], False),
        (["noaixyz"], False),
    ],
)
def test_whose_wish_is_heeded(lines: list[str], expected: bool) -> None:
    header = Message()
    for line in lines:
        header["X-Robots-Tag"] = line
    assert opts_out(header, "mybot") == expected


def test_a_reservation_of_text_and_data_mining_is_heeded() -> None:
    header = Message()
    header["TDM-Reservation"] = "0"
    assert not opts_out(header, "mybot")
    header.replace_header("TDM-Reservation", "1")
    assert opts_out(header, "mybot")


def test_how_is_no_part_of_what() -> None:
    plain = registry().bind("image_fetch", {})
    assert registry().bind("image_fetch", {"timeout_s": 3, "retries": 9}).fingerprint == plain.fingerprint
    assert registry().bind("image_fetch", {"max_bytes": 3}).fingerprint != plain.fingerprint
    assert image_fetch.spec.cost == "remote"  # type: ignore[attr-defined]


def page(server: PictureServer, folder: Path, pictures: int) -> None:
    images = "".join(
        f"<p>Paragraph {k} of a page on pictures, which says what is to be seen in the one that follows it.</p>"
        f'<img src="/{k}.png" alt="{k}">'
        for k in range(pictures)
    )
    folder.mkdir()
    (folder / "a.html").write_text(
        f'<html><head><base href="{server.url}/"></head><body><article>{images}</article></body></html>'
    )


RECIPE = """
source: {{path: in, format: html, settings: {{content: all}}}}
steps:
  - map: {{image_fetch: {{allow_private: true, retries: 0}}}}
  - keep: count(image_width_px > 0) >= {at_least}
write: {{path: out, format: folder}}
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_asks_once_for_measuring_writing_and_every_later_run(
    server: PictureServer, tmp_path: Path, workers: int
) -> None:
    page(server, tmp_path / "in", 4)
    for k in (0, 1, 3):  # 2 is gone
        server.answers[f"/{k}.png"] = Answer(encoded("PNG", k))

    def go(at_least: int) -> dict[str, Any]:
        recipe = loads(RECIPE.format(at_least=at_least), source=str(tmp_path / "in"))
        return run(recipe, output=str(tmp_path / "out"), workers=workers, quiet=True, update=True)

    assert go(3)["kept"] == 1
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    assert sorted(written.values()) == sorted(encoded("PNG", k) for k in (0, 1, 3))
    assert dict(server.hits) == {"/0.png": 1, "/1.png": 1, "/2.png": 1, "/3.png": 1}
    assert go(2)["kept"] == 1
    assert go(4)["kept"] == 0
    assert set(server.hits.values()) == {1}
    answers = [json.loads(p.read_text()) for p in (tmp_path / "sluice-store" / "downloads").rglob("*.json")]
    assert sorted(a.get("reason", "") for a in answers) == ["", "", "", "HTTP 404"]
