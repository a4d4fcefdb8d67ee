"""What insights is told from outside, in the words in which the whole platform is told it."""

import pytest

from schemas.clicks import CROWD, LEAST_CROWD, Kind
from services.insights.settings import Settings
from services.kernel.errors import ConfigurationError

USUAL = {
    "LETHE_PRINCIPAL": "insights", "LETHE_INSTANCE": "insights-1", "LETHE_KAFKA": "k:1", "LETHE_KAFKA_PASSWORD": "-",
    "LETHE_DATABASE_PORT": "1", "LETHE_DATABASE_NAME": "lethe", "LETHE_DATABASE_PASSWORD": "-",
}  # fmt: skip


def told(monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    for name, value in {**USUAL, **more}.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    assert isinstance(settings, Settings)
    return settings


def test_crowd_and_hours_are_those_that_the_gateway_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (told(monkeypatch).crowd, told(monkeypatch).hourly) == (CROWD, frozenset())
    settings = told(monkeypatch, LETHE_CROWD="20", LETHE_HOURLY='["search", "dwell"]')
    assert (settings.crowd, settings.hourly) == (20, {Kind.SEARCH, Kind.DWELL})
    assert told(monkeypatch, LETHE_HOURLY="[]").hourly == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [
        {"LETHE_CROWD": str(LEAST_CROWD - 1)}, {"LETHE_HOURLY": '["visitor"]'}, {"LETHE_HOURLY": "search"},
        {"LETHE_SIGN_INS_PER_MINUTE": "0"},
        {"LETHE_HTTP_PORT": "70000"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        told(monkeypatch, **wrong)
    assert caught.value.fields["fields"] == next(iter(wrong)).removeprefix("LETHE_").lower()
