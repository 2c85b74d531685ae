"""How duplicates were found, in words: nothing is said that is not known, and no certificate is claimed."""

from __future__ import annotations

from sluice.view.comparison import told

CLUSTERS = {"method": "clusters", "distinct": 200_000, "clusters": 447, "spill": 8, "compared": 123_000_000}
CERTIFICATE = {"queries": 1024, "trials": 490, "missed": 0, "confidence": 0.95, "recall_at_least": 0.9939}


def test_the_method_is_told() -> None:
    assert told({"by": "image_phash", "pairs": 3}) == ""
    exact = told({"method": "exact", "distinct": 1200, "unmatched": 3})
    assert exact.startswith("Every two of 1,200 different values were compared.")
    assert exact.endswith("3 values (zero, or not finite) can match nothing and are kept.")
    assert told({"by": "image_phash", "pairs": 3, "without_value": 0}) == ""
    assert told({**CLUSTERS, "without_value": 1200}).endswith("Samples without a value, which stay: 1,200.")
    assert "447 clusters" in told(CLUSTERS)
    assert "recall" not in told(CLUSTERS)


def test_a_certificate_is_told_as_far_as_it_goes() -> None:
    assert "recall at least 0.994 (95% confidence)" in told({**CLUSTERS, "certificate": CERTIFICATE})
    none = {**CERTIFICATE, "trials": 0, "recall_at_least": 0.0}
    assert "recall is not certified" in told({**CLUSTERS, "certificate": none})
