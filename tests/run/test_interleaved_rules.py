"""Every filter of documents, item by item by `drop_items` and sample by sample by `keep`, as plain Python judges."""

from __future__ import annotations

import io
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from journeys import balanced, fates_of, go, members, write_tar
from PIL import Image, ImageFilter

from sluice.operator import Program, registry
from sluice.sample import Item, Media, Sample
from sluice.store.opened import Run

Tiny = Callable[[str], str]
Value = float | str | None


def encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def noise(seed: int, width: int = 96, height: int = 80, blur: float = 0.0) -> bytes:
    """Seeded noise, sharp or blurred."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(blur)))


def qrcode() -> bytes:
    """A picture of which a quarter is QR code."""
    zxingcpp = pytest.importorskip("zxingcpp")
    code = zxingcpp.create_barcode("https://example.org", zxingcpp.BarcodeFormat.QRCode)
    drawn = Image.fromarray(np.array(code.to_image(scale=4))).convert("L")
    canvas = Image.new("L", (2 * drawn.width, 2 * drawn.height), 255)
    canvas.paste(drawn, (drawn.width // 2, drawn.height // 2))
    return encoded(canvas.convert("RGB"))


PROSE = "The cat sits on the green grass, and a small dog runs to the house that stands behind the old trees."
GERMAN = "Die Katze sitzt auf der Wiese, und ein kleiner Hund läuft zu dem Haus, das hinter den alten Bäumen steht."
SYMBOLS = "### 12 $$ 34 %% 56 && 78 ((( ))) !!! ??? ... --- ___ +++ === *** /// 90"
AGAIN = "click here " * 20


def documents() -> dict[str, list[bytes]]:
    """Texts and pictures of every kind, in every order; pictures alone, texts alone."""
    texts = [t.encode() for t in (PROSE, GERMAN, SYMBOLS, AGAIN, "a red picture")]
    prose, german, symbols, again, short = texts
    return {
        "mixed": [prose, noise(1), symbols, noise(2, blur=3), german],
        "codes": [qrcode(), short, noise(3), again],
        "tall": [noise(4, 30, 120), prose, noise(5, 100, 60), short],
        "small": [short, noise(6, 16, 16, blur=2), noise(7, 120, 110)],
        "pictures": [noise(8), noise(9, blur=4)],
        "lone": [noise(10, 20, 60)],
        "texts": [prose, again, german],
        "word": [short],
    }


def names_of(key: str, items: list[bytes]) -> list[str]:
    return [f"{key}.{k}.{'png' if data[0] == 0x89 else 'txt'}" for k, data in enumerate(items)]


@dataclass(frozen=True)
class Filter:
    """A field of items with its bound, the steps that it needs, and of what items it is.

    `bound` None is the median of what is measured; `MODEL(clip)` and such in `steps` are small models.
    """

    field: str
    op: str
    bound: Value = None
    steps: str = ""
    of: str = "png"

    def setup(self, tiny: Tiny) -> str:
        """Its `measure` step."""
        asked = re.sub(r"MODEL\((\w+)\)", lambda found: tiny(found[1]), self.steps)
        return f"  - measure: {asked or self.field}\n"

    def holds(self, value: Value, bound: Value) -> bool | None:
        """What the comparison says of one value, None of null."""
        if value is None:
            return None
        compare: dict[str, Callable[[Any, Any], bool]] = {
            "<": lambda a, b: a < b,
            ">=": lambda a, b: a >= b,
            ">": lambda a, b: a > b,
            "<>": lambda a, b: a != b,
            "=": lambda a, b: a == b,
        }
        return compare[self.op](value, bound)


def similarity(pair: str) -> Filter:
    asked = "{image_text_similarity: {pair: PAIR, as: fit_PAIR, with: {clip: {model: MODEL(clip)}}}}"
    return Filter(f"fit_{pair}", "<", steps=asked.replace("PAIR", pair))


FILTERS = [
    Filter("image_sharpness", "<", 100),
    Filter("sharpness_rgb", "<", 100, steps="{image_sharpness: {channels: rgb, as: sharpness_rgb}}"),
    Filter("image_qrcode_area_ratio", ">=", 0.05),
    Filter("image_aspect_ratio", "<", 0.5),
    Filter("image_width_px", "<", 50),
    Filter("image_height_px", ">", 100),
    Filter("image_size_bytes", "<", 2000),
    Filter("unsafe", ">=", steps="{image_nsfw: {backend: classifier, model: MODEL(classifier), as: unsafe}}"),
    similarity("nearest"),
    similarity("any"),
    similarity("all"),
    Filter("text_word_count", "<", 5, of="txt"),
    Filter("text_alphanumeric_ratio", "<", 0.5, of="txt"),
    Filter("text_special_character_ratio", ">", 0.5, of="txt"),
    Filter("text_word_repetition", ">", 0.3, of="txt"),
    Filter("text_language", "<>", "en", of="txt"),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as a tar, and room for a store that all tests share."""
    folder = tmp_path_factory.mktemp("corpus")
    files = {
        n: d for key, items in documents().items() for n, d in zip(names_of(key, items), items, strict=True)
    }
    write_tar(folder / "in/a.tar", files)
    return folder


def ran(corpus: Path, output: Path, steps: str) -> dict[str, Any]:
    summary = go(corpus, steps, output=output, store=str(corpus / "store"))
    assert balanced(summary)
    assert summary["failed"] == 0
    return summary


def values(output: Path, name: str) -> dict[str, list[Value]]:
    """By document the values of a field of items."""
    table = Run.open(str(output)).table
    return {row["key"]: row[name] for row in table.rows(range(len(table)), ["key", name])}


def judged(
    corpus: Path, folder: Path, tiny: Tiny, by: Filter
) -> tuple[dict[str, list[bool | None]], str, str]:
    """What the filter says of every item, the comparison as text, and the step that measures."""
    setup = by.setup(tiny)
    ran(corpus, folder / "measured", setup)
    found = values(folder / "measured", by.field)
    for key, items in documents().items():
        assert len(found[key]) == sum(name.endswith(by.of) for name in names_of(key, items))
    known: list[Any] = [value for of in found.values() for value in of if value is not None]
    bound = by.bound if by.bound is not None else statistics.median(known)
    verdicts = {key: [by.holds(value, bound) for value in of] for key, of in found.items()}
    said = {verdict for of in verdicts.values() for verdict in of}
    assert {True, False} <= said, "the filter tells nothing apart"
    text = f"{by.field} {by.op} " + (f"'{bound}'" if isinstance(bound, str) else repr(bound))
    return verdicts, text, setup


@pytest.mark.parametrize("by", FILTERS, ids=lambda by: by.field)
def test_items_are_dropped_inside_documents(
    corpus: Path, tmp_path: Path, tiny_model: Tiny, by: Filter
) -> None:
    verdicts, text, setup = judged(corpus, tmp_path, tiny_model, by)
    found = ran(corpus, tmp_path / "out", f'{setup}  - drop_items: {{rule: "{text}", name: bad}}')
    wanted: list[str] = []
    empty, dropped = set(), 0
    for key, items in documents().items():
        names, verdict = names_of(key, items), iter(verdicts[key])
        left = [name for name in names if not (name.endswith(by.of) and next(verdict))]
        dropped += len(names) - len(left)
        wanted += left
        empty |= set() if left else {key}
    assert list(members(tmp_path / "out")) == wanted
    fates = fates_of(tmp_path / "out")
    assert {k for k, f in fates.items() if f["fate"] == "dropped"} == empty
    assert {f["reason"] for k, f in fates.items() if k in empty} <= {"no content left"}
    assert (
        sum(len(f["items_dropped"] or ()) for f in fates.values()) == dropped == found["yields"][-1]["items"]
    )


@pytest.mark.parametrize("by", FILTERS, ids=lambda by: by.field)
def test_documents_are_kept_by_quantifiers(
    corpus: Path, tmp_path: Path, tiny_model: Tiny, by: Filter
) -> None:
    verdicts, text, setup = judged(corpus, tmp_path, tiny_model, by)
    known = {key: [v for v in of if v is not None] for key, of in verdicts.items()}
    asked = (
        (f"any({text})", "drop", {k for k, of in known.items() if any(of)}),
        (f"all({text})", "drop", {k for k, of in known.items() if of and all(of)}),
        (f"all({text})", "keep", {k for k, of in known.items() if all(of)}),
        (f"not any({text})", "keep", {k for k, of in known.items() if not any(of)}),
        (f"count({text}) >= 1", "drop", {k for k, of in known.items() if sum(of) >= 1}),
        (f"count({text}) < 2", "drop", {k for k, of in known.items() if sum(of) < 2}),
    )
    for number, (rule, nulls, wanted) in enumerate(asked):
        output = tmp_path / f"out-{number}"
        ran(corpus, output, f'{setup}  - keep: {{rule: "{rule}", nulls: {nulls}}}')
        kept = {k for k, f in fates_of(output).items() if f["fate"] == "kept"}
        assert (rule, nulls, kept) == (rule, nulls, wanted)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("sample_image_count >= 2", {"mixed", "codes", "tall", "small", "pictures"}),
        ("sample_image_count between 1 and 1", {"lone"}),
        ("sample_text_count = 0", {"pictures", "lone"}),
        ("sample_word_count >= 20", {"mixed", "codes", "tall", "texts"}),
        ("sample_image_to_word_ratio >= 1", {"pictures", "lone"}),
        ("sample_image_to_word_ratio between 0.01 and 0.9", {"mixed", "codes", "tall", "small"}),
        ("sample_image_to_word_ratio = 0", {"texts", "word"}),
        ("mean(image_aspect_ratio) > 1.1", {"mixed", "pictures"}),
        ("min(text_word_count) >= 3 and max(text_word_count) <= 3", {"small", "word"}),
        ("count(image_width_px >= 1) = count(text_length >= 1)", {"codes", "tall"}),
    ],
)
def test_documents_are_kept_by_what_they_hold(
    corpus: Path, tmp_path: Path, rule: str, kept: set[str]
) -> None:
    ran(corpus, tmp_path / "out", f'  - keep: "{rule}"')
    assert {k for k, f in fates_of(tmp_path / "out").items() if f["fate"] == "kept"} == kept


def test_pictures_are_what_they_were_made_to_be(corpus: Path, tmp_path: Path) -> None:
    """Values of pictures made sharp, blurred, tall, small and full of code; the peer's sharpness is of all channels."""
    rgb = "{image_sharpness: {channels: rgb, as: sharpness_rgb}}"
    ran(
        corpus,
        tmp_path / "out",
        f"  - measure: [{rgb}, image_sharpness, image_qrcode_area_ratio, image_aspect_ratio, image_width_px]",
    )
    sharp: Any = values(tmp_path / "out", "image_sharpness")
    assert sharp["mixed"][0] > 1000 > 100 > sharp["mixed"][1]
    codes: Any = values(tmp_path / "out", "image_qrcode_area_ratio")
    assert codes["codes"] == [pytest.approx(0.2, abs=0.08), 0]
    assert values(tmp_path / "out", "image_aspect_ratio")["tall"] == [0.25, pytest.approx(100 / 60)]
    assert values(tmp_path / "out", "image_width_px")["small"] == [16, 120]
    pixels = np.asarray(Image.open(io.BytesIO(documents()["mixed"][3])))
    peer = cv2.Laplacian(pixels, cv2.CV_64F).var()
    assert values(tmp_path / "out", "sharpness_rgb")["mixed"][1] == pytest.approx(peer)


def test_an_image_fits_the_nearest_any_or_all_of_a_documents_texts(
    corpus: Path, tmp_path: Path, tiny_model: Tiny
) -> None:
    folder = tiny_model("clip")
    steps = "".join(similarity(pair).setup(tiny_model) for pair in ("nearest", "any", "all"))
    ran(corpus, tmp_path / "out", steps)
    found = {pair: values(tmp_path / "out", f"fit_{pair}") for pair in ("nearest", "any", "all")}
    program = Program([registry().bind("image_text_similarity", with_={"clip": {"model": folder}})])
    differ = 0
    for key, items in documents().items():
        names = names_of(key, items)
        texts = [k for k, name in enumerate(names) if name.endswith("txt")]
        for n, image in enumerate(k for k, name in enumerate(names) if name.endswith("png")):
            told = {pair: of[key][n] for pair, of in found.items()}
            if not texts:
                assert set(told.values()) == {None}
                continue
            cosines = {}
            for text in texts:
                two = (
                    Item("image", media=Media(data=items[image])),
                    Item("text", text=items[text].decode()),
                )
                ((cosines[text],),) = program([Sample(id="s", key="s", items=two)]).columns[
                    "image_text_similarity"
                ]
            nearest = min(texts, key=lambda k: (abs(k - image), k))
            assert told == {
                "nearest": pytest.approx(cosines[nearest], abs=1e-5),
                "any": pytest.approx(max(cosines.values()), abs=1e-5),
                "all": pytest.approx(min(cosines.values()), abs=1e-5),
            }
            differ += len(set(cosines.values())) > 1
    assert differ >= 4


def test_a_pass_over_documents_drops_what_several_rules_name(corpus: Path, tmp_path: Path) -> None:
    """Blurred pictures and poor texts go, then documents without a picture or of few words; each by its own step."""
    steps = (
        "  - drop_items: {rule: image_sharpness < 100, name: blurred}\n"
        "  - drop_items: {rule: text_alphanumeric_ratio < 0.5, name: symbols}\n"
        "  - dedup: {by: text_content_hash, level: item, name: said before}\n"
        "  - keep: {rule: count(image_width_px >= 1) >= 1, name: pictures}\n"
        "  - keep: {rule: any(text_word_count >= 10), name: prose}\n"
    )
    found = ran(corpus, tmp_path / "out", steps)
    assert {k: (f["fate"], f["rule"]) for k, f in fates_of(tmp_path / "out").items()} == {
        "mixed": ("kept", None),
        "codes": ("kept", None),
        "tall": ("dropped", "prose"),
        "small": ("dropped", "prose"),
        "pictures": ("dropped", "prose"),
        "lone": ("dropped", "prose"),
        "texts": ("dropped", "said before"),
        "word": ("dropped", "said before"),
    }
    assert list(members(tmp_path / "out")) == [
        "mixed.0.txt", "mixed.1.png", "mixed.4.txt", "codes.0.png", "codes.1.txt", "codes.2.png", "codes.3.txt",
    ]  # fmt: skip
    assert {y["name"]: y["items"] for y in found["yields"]} == {
        "blurred": 3, "symbols": 1, "said before": 7, "pictures": 0, "prose": 0,
    }  # fmt: skip
