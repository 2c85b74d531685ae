"""`sluice caption`: new captions of clips, beside those they have, as the ready recipe `video-annotate` has it."""

from __future__ import annotations

from typing import Any

import click

from sluice.cli.ready import carry_out, run_options
from sluice.cli.verb import verb

RECIPE = "video-annotate"
_MAPPER = "steps.2.map.sample_add_window_captions"


@verb(
    "caption",
    "sluice caption demo-video/clips --url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-7B-Instruct",
)
@click.argument("clips", metavar="CLIPS")
@click.option("--url", metavar="URL", help="The endpoint's base, such as http://127.0.0.1:8000/v1.")
@click.option("--model", metavar="NAME", help="The model's name there; with --local, its name or path here.")
@click.option("--local", is_flag=True, help="Caption by a model of transformers on this machine.")
@click.option(
    "--prompt", metavar="NAME", help="default, driving, surveillance, short, medium, long, or a text file."
)
@click.option(
    "--language", metavar="CODE", help="Leave out captions in others than this (default: en; any: any)."
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Tokens of a caption at most.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable that holds the endpoint's key.")
@click.option("--price-in", type=float, metavar="USD", help="Price of a million tokens sent.")
@click.option("--price-out", type=float, metavar="USD", help="Price of a million tokens replied.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="Requests at once (default: 8).")
@click.option("--rewrite-model", metavar="NAME", help="A text model that puts each caption anew.")
@click.option("--rewrite-url", metavar="URL", help="Its endpoint, where that is another one.")
@click.option(
    "--annotation-version",
    default="v1",
    show_default=True,
    metavar="VERSION",
    help="The version of the metadata that is written.",
)
@click.option(
    "--from-version", default="v0", show_default=True, metavar="VERSION", help="The one that is read."
)
@click.option("--add", is_flag=True, help="Keep other models' captions of the version that is read.")
@run_options("CLIPS", "clips", run_in="the new version")
def command(
    clips: str,
    annotation_version: str,
    from_version: str,
    add: bool,
    how: dict[str, Any],
    as_json: bool,
    **asked: Any,
) -> None:
    """Caption clips, or caption them anew.

    The ready recipe `video-annotate`: a new version of the metadata in CLIPS/metas, beside the one that is there; no
    clip is touched. An interrupted run is continued by the same command, and pays for nothing twice.
    """
    from sluice.recipe.load import load
    from sluice.storage import Location

    _refuse_contradictions(annotation_version, from_version, asked)
    ready = load(RECIPE).to_data()["steps"][1]["measure"][0]["video_caption"]
    chosen: dict[str, Any] = {
        "source.settings.annotation_version": from_version,
        "steps.1.measure": _measured(asked, ready),
        f"{_MAPPER}.by": "local" if asked["local"] else "endpoint",
        f"{_MAPPER}.rewritten": asked["rewrite_model"] is not None,
        f"{_MAPPER}.mode": "add" if add else "replace",
    }
    place = Location(clips)
    how["store"] = how["store"] or (place.parent / "sluice-store").url
    carry_out(RECIPE, chosen, clips, (place / "metas" / annotation_version).url, how, as_json=as_json)


def _refuse_contradictions(to: str, of: str, asked: dict[str, Any]) -> None:
    if to == of:
        raise click.UsageError(f"--annotation-version {to} is the version that is read: name another one")
    if asked["local"] and asked["url"]:
        raise click.UsageError(
            "--url means nothing with --local: name the endpoint of --rewrite-model by --rewrite-url"
        )
    if asked["rewrite_url"] and not asked["rewrite_model"]:
        raise click.UsageError("--rewrite-url needs --rewrite-model")
    if asked["local"] and asked["rewrite_model"] and not asked["rewrite_url"]:
        raise click.UsageError("--rewrite-model with --local needs --rewrite-url")


def _measured(asked: dict[str, Any], ready: dict[str, Any]) -> list[dict[str, Any]]:
    """The operators that the options ask for; `ready` are the settings of `video_caption` in the ready recipe."""
    given = {name: value for name, value in asked.items() if name in _SETTINGS and value is not None}
    settings = ready | {_SETTINGS[name]: value for name, value in given.items()}
    if settings["language"] == "any":
        settings["language"] = None
    local = {name: settings[name] for name in ("prompt", "language", "max_tokens")}
    if asked["local"]:
        own = {"model": asked["model"]} if asked["model"] else {}
        found = [{"video_caption_local": {**local, **own}}]
    else:
        found = [{"video_caption": settings}]
    if asked["rewrite_model"]:
        by = "local" if asked["local"] else "endpoint"
        other = {"url": asked["rewrite_url"] or settings["url"], "model": asked["rewrite_model"], "by": by}
        found.append({"video_caption_rewritten": {**settings, **other, "prompt": "rewrite"}})
    return found


_SETTINGS = {
    "url": "url",
    "model": "model",
    "prompt": "prompt",
    "language": "language",
    "max_tokens": "max_tokens",
    "api_key_env": "api_key_env",
    "price_in": "price_per_million_input",
    "price_out": "price_per_million_output",
    "concurrency": "concurrency",
}
"""The settings that options stand for."""
