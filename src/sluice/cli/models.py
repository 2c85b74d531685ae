"""`sluice models`: which models are known, which are here, and the only command that fetches one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sluice.cli.output import near, print_json, say, size_text, table
from sluice.cli.verb import verb

if TYPE_CHECKING:
    from sluice.model.cards import Card

ACTIONS = ("list", "fetch", "check")


@verb("models", "sluice models list", "sluice models check")
@click.argument("action", type=click.Choice(ACTIONS), default="list")
@click.argument("name", required=False)
def command(action: str, name: str | None, as_json: bool) -> int:
    """List, fetch or check models.

    `list` tells of every known model its licence and where it is on this machine; `fetch NAME` downloads one
    (of our list, or owner/name of Hugging Face's hub) into $SLUICE_MODELS, by default ~/.cache/sluice/models,
    and verifies it; `check` looks whether those on this machine are whole and as published. Nothing else ever
    downloads a model.
    """
    from sluice.model.files import find

    if action == "fetch":
        return _fetch(name, as_json)
    found = [_document(card) for card in _asked(name)]
    if action == "check":
        if name is not None:
            find(name)  # or it says that there is none, and how to come by it
        return _check(found, as_json)
    if as_json:
        print_json({"models": found})
        return 0
    rows = [
        (f["name"], f["licence"], size_text(f["size_bytes"]), near(f["path"] or ""), f["about"])
        for f in found
    ]
    table(["model", "licence", "size", "where it is", "what it is"], rows, right=[2])
    return 0


def _asked(name: str | None) -> list[Card]:
    """The card of the model asked for; else all known ones, and others that were fetched."""
    from sluice.model.cards import cards
    from sluice.model.fetch import card_of
    from sluice.model.files import models_folder
    from sluice.model.integrity import FETCHED

    if name is not None:
        return [card_of(name)]
    folder = models_folder()
    fetched = [record.parent.relative_to(folder).as_posix() for record in sorted(folder.rglob(FETCHED))]
    others = [each for each in fetched if each not in cards() and not each.endswith(".partial")]
    return [*cards().values(), *(card_of(each) for each in others)]


def _document(card: Card) -> dict[str, Any]:
    from sluice.errors import MissingError
    from sluice.model.files import find

    try:
        path: str | None = str(find(card.name))
    except MissingError:
        path = None
    return {**card.model_dump(), "path": path}


def _fetch(name: str | None, as_json: bool) -> int:
    from sluice.errors import UsageError
    from sluice.model.fetch import card_of, fetch

    if name is None:
        raise UsageError("fetch what?", fix="give a name: `sluice models fetch openai/clip-vit-base-patch32`")
    card = card_of(name)
    if not as_json:
        say(f"fetching {card.name} ({size_text(card.size_bytes)}; {card.licence}) from {card.source}")
    folder = fetch(card)
    if as_json:
        print_json({**card.model_dump(), "path": str(folder)})
    else:
        say(f"{card.name} is at {folder}")
    return 0


def _check(found: list[dict[str, Any]], as_json: bool) -> int:
    from pathlib import Path

    from sluice.model.cards import cards
    from sluice.model.files import digests_folder, models_folder
    from sluice.model.integrity import flaws, unlike_fetched

    here = [each for each in found if each["path"] is not None]
    for each in here:
        card, path = cards().get(each["name"]), Path(each["path"])
        folder = models_folder() / each["name"]
        wrong = dict.fromkeys(
            [*flaws(path, card, digests_folder()), *unlike_fetched(folder, digests_folder())]
        )
        each["flaws"] = list(wrong)
    broken = [each for each in here if each["flaws"]]
    if as_json:
        print_json({"models": here, "broken": len(broken)})
        return 1 if broken else 0
    for each in here:
        say(f"{each['name']}: {'; '.join(each['flaws']) or 'whole'} ({near(each['path'])})")
        if each["flaws"]:
            say(f"  → sluice models fetch {each['name']}")
    if not here:
        say("none of the models we know is on this machine; `sluice models list` names them")
    return 1 if broken else 0
