"""Says in a sentence or two how near duplicates were found, and how many that may have missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.view import number


def told(found: Mapping[str, Any]) -> str:
    """One entry of a summary's `comparisons` in words; empty where there is nothing to say."""
    text = _method(found)
    certificate = found.get("certificate")
    if certificate:
        text += f" {_certified(certificate)}"
    if found.get("unmatched"):
        text += f" {number.count(found['unmatched'])} values (zero, or not finite) can match nothing and are kept."
    if found.get("without_value"):
        text += f" Samples without a value, which stay: {number.count(found['without_value'])}."
    return text.strip()


def _method(found: Mapping[str, Any]) -> str:
    if found.get("method") == "exact":
        return f"Every two of {number.count(found['distinct'])} different values were compared."
    if found.get("bands"):
        return (
            f"{number.count(found['sets'])} different sets, of which {number.count(found['compared'])} pairs agree in "
            f"one of {found['bands']} bands of their signatures and were compared; of the pairs just at the threshold "
            f"{found['missed_at_threshold']:.2%} are missed, of nearer ones less."
        )
    if found.get("method") != "clusters":
        return ""
    return (
        f"{number.count(found['distinct'])} different values in {number.count(found['clusters'])} clusters, each "
        f"also compared with at most {found['spill']} neighbouring ones: {number.count(found['compared'])} pairs."
    )


def _certified(certificate: Mapping[str, Any]) -> str:
    trials, missed = certificate["trials"], certificate["missed"]
    if not trials:
        return f"Of {number.count(certificate['queries'])} random ones none has a near one: recall is not certified."
    return (
        f"Of {number.count(trials)} random ones with near ones, {number.count(missed)} missed any: recall at least "
        f"{certificate['recall_at_least']:.3f} ({certificate['confidence']:.0%} confidence)."
    )
