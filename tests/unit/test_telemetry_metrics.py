"""Metrics count; they never name a person, and they never grow without bound."""

import re

from prometheus_client import CollectorRegistry, Counter, generate_latest

from services.kernel.telemetry import metrics


def page() -> str:
    return generate_latest(metrics.REGISTRY).decode()


def test_every_metric_has_the_prefix_and_base_units():
    """Names that a dashboard can rely on: seconds, bytes, totals."""
    families = [family for family in metrics.REGISTRY.collect() if family.type != "unknown"]
    assert len(families) > 30
    for family in families:
        assert family.name.startswith("lethe_")
        assert not re.search(r"_(ms|millis|minutes|kb|mb)$", family.name)
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_records"))
        assert family.documentation.endswith(".") or family.name.startswith("lethe_process_")


def test_a_label_value_that_is_no_name_is_counted_as_other():
    """Data that ends up in a label by mistake is not published."""
    metrics.DEAD_LETTERS.labels(topic="orders", code="Zoë Canary-Smith").inc()
    assert 'code="other",topic="orders"' in page()
    assert "Canary" not in page()


def test_the_number_of_series_is_bounded(monkeypatch):
    """An attacker who varies a value cannot fill the memory of the scraper."""
    monkeypatch.setattr(metrics, "MOST_SERIES", 5)
    counter = metrics.bounded(Counter)("probe_total", "Probe.", ["code"], registry=CollectorRegistry())
    for number in range(20):
        counter.labels(code=f"c{number}").inc()
    assert len(counter._metrics) == 6
    assert counter.labels(code="c19")._value.get() == 15


def test_a_histogram_keeps_its_buckets_behind_the_bound():
    """Bounding labels changes nothing else."""
    metrics.KEYRING_SECONDS.labels(call="open").observe(0.003)
    assert 'lethe_keyring_seconds_bucket{call="open",le="0.005"} 1.0' in page()


def test_label_names_are_never_those_of_a_person_or_an_order():
    """A series per subject would be a record about a subject."""
    named = {name for each in vars(metrics).values() for name in getattr(each, "_labelnames", ())}
    assert named and not named & {"subject", "order", "scope", "kid", "reference", "request", "name", "key"}


def test_labels_are_the_same_by_position_by_name_and_by_number():
    """However a caller writes it, it is one series."""
    metrics.LAG.labels("orders", 3).set(1)
    assert metrics.LAG.labels(topic="orders", partition="3") is metrics.LAG.labels("orders", 3)
    assert metrics.LAG.labels(partition=3, topic="orders")._value.get() == 1
