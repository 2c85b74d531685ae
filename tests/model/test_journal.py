"""The journal: what was written is known to every process, whatever happened to the one that wrote it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import UnavailableError
from sluice.model import journal
from sluice.model.files import models_folder
from sluice.model.journal import Journal, journal_of, request_key
from sluice.storage import Location

REPLY = {"text": "Zwei Hunde – \u2028 \N{DOG}", "tokens_in": 3}


def key_of(number: int) -> str:
    return request_key({"image": number})


def test_a_reply_is_known_to_whoever_opens_the_journal_later(tmp_path: Path) -> None:
    Journal(tmp_path / "j").put(key_of(1), {"image": 1}, REPLY)
    again = Journal(tmp_path / "j")
    assert again.get(key_of(1)) == REPLY
    assert again.get(key_of(2)) is None


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    for number in range(3):
        first.put(key_of(number), {}, {"text": str(number)})
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_bytes()
    for cut in (1, 20, 60):
        file.write_bytes(whole[:-cut])
        again = Journal(tmp_path)
        assert [again.get(key_of(n)) is not None for n in range(3)] == [True, True, False]
        again.put(key_of(2), {}, {"text": "anew"})  # in a file of its own: nothing goes behind the stump
        assert Journal(tmp_path).get(key_of(2)) == {"text": "anew"}
        for path in tmp_path.glob("*.jsonl"):
            if path != file:
                path.unlink()


def test_what_others_write_meanwhile_is_seen_after_a_refresh(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    one.put(key_of(1), {}, REPLY)
    assert other.get(key_of(1)) is None
    other.refresh()
    assert other.get(key_of(1)) == REPLY
    one.put(key_of(2), {}, REPLY)
    other.refresh()
    assert other.get(key_of(2)) == REPLY


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 8))
def test_folding_changes_nothing_of_what_is_known(numbers: list[int], folded: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "FOLDED", folded)
        writer, reader = Journal(Path(name)), Journal(Path(name))
        known: dict[int, dict[str, int]] = {}
        for place, number in enumerate(numbers):
            known[number] = {"text": place}
            writer.put(key_of(number), {}, known[number])
            if place % 5 == 0:
                reader.refresh()
                writer.refresh()
        reader.refresh()
        for each in (writer, reader, Journal(Path(name))):
            assert {n: each.get(key_of(n)) for n in range(41)} == {n: known.get(n) for n in range(41)}


def test_a_damaged_or_deleted_file_is_not_known_any_more(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.put(key_of(1), {}, REPLY)
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(b"x" * 40 + file.read_bytes()[40:])
    assert first.get(key_of(1)) is None
    file.unlink()
    assert first.get(key_of(1)) is None


def test_a_request_that_another_process_holds_is_waited_for_until_that_one_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from sluice.model.journal import Journal\n"
        f"j = Journal(Path({str(tmp_path)!r}))\n"
        f"with j.claim({key_of(1)!r}):\n"
        "    print('held', flush=True); sys.stdin.read(1)\n"
        f"    j.put({key_of(1)!r}, {{}}, {{'text': 'theirs'}}); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        ours = Journal(tmp_path)
        with ours.claim(key_of(2)):  # another request is free
            assert ours.get(key_of(1)) is None
        other.stdin.write("x")
        other.stdin.flush()
        started = time.monotonic()
        while not list(tmp_path.glob("*.jsonl")):
            time.sleep(0.01)
        other.kill()  # its claim ends with it
        with ours.claim(key_of(1)):
            assert ours.get(key_of(1)) == {"text": "theirs"}
        assert time.monotonic() - started < 20


def test_without_a_folder_replies_are_kept_in_memory() -> None:
    journal.use(None)
    kept = journal_of("some/model")
    with kept.claim(key_of(1)):
        kept.put(key_of(1), {}, REPLY)
    assert kept.get(key_of(1)) == REPLY
    assert journal_of("some/model").get(key_of(1)) is None


def test_a_journal_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="journal cannot be written"):
        Journal(tmp_path / "file").put(key_of(1), {}, REPLY)


def test_journals_lie_in_a_local_store_and_for_a_remote_one_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_MODELS", str(tmp_path / "models"))
    try:
        journal.use(Location(str(tmp_path / "store")))
        here, other = journal_of("org/model-7b"), journal_of("org/model_7b")
        assert here.folder is not None
        assert here.folder.parent == tmp_path / "store" / "journal"
        assert here.folder.name.startswith("org_model-7b-")
        assert other.folder != here.folder
        journal.use(Location("s3://bucket/store"))
        remote = journal_of("org/model-7b").folder
        assert remote is not None
        assert remote.is_relative_to(models_folder())
    finally:
        journal.use(None)


def test_every_part_of_a_request_makes_another_key() -> None:
    base = {"image": "a", "model": "m", "prompt": "p", "max_tokens": 1, "temperature": 0.0}
    keys = {request_key({**base, name: "other"}) for name in base} | {request_key(base)}
    assert len(keys) == len(base) + 1
    assert request_key(dict(reversed(base.items()))) == request_key(base)
