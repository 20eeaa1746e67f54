"""Dashboard and alert rules name metrics and labels that a running engine has, and no other."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from api_rig import ApiRig
from generate_docs import PROJECT_FOLDER
from squareoff.core.prices.feed_lag import TOLD_FOR_SECONDS
from squareoff.services.monitoring.metrics import Metrics

DEPLOY = PROJECT_FOLDER / "deploy"
_NAME = re.compile(r"squareoff_\w+")
_BY = re.compile(r"\bby \(([^)]*)\)")
_SELECTOR = re.compile(r"(squareoff_\w+)\{([^}]*)\}")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
_SERIES = {
    f"{each.name}{suffix}": each for each in Metrics().texts for suffix in _SUFFIXES[each.kind]
} | {
    each.name.removesuffix("_total") + "_created": each
    for each in Metrics().texts
    if each.kind == "counter"
}


def _dashboard_queries() -> Iterator[tuple[str, str]]:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text(encoding="utf-8"))
    return [rule for group in groups["groups"] for rule in group["rules"]]


def _queries() -> list[tuple[str, str]]:
    """Return every query with the text whose `{{...}}` and `$labels` are filled from its result."""
    told = [(rule["expr"], rule["annotations"]["summary"]) for rule in _rules()]
    return [*_dashboard_queries(), *told]


QUERIES = _queries()


@pytest.fixture(scope="module")
def rendered() -> str:
    """Give what an engine answers at /metrics after it closed a position."""
    with ApiRig() as rig:
        mine = rig.track()
        rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
        return rig.call("GET", "/metrics").text


def test_what_an_engine_renders_is_what_the_docs_list(rendered: str) -> None:
    """Every metric of the table is rendered, and nothing else is, save creation times."""
    typed = dict(re.findall(r"^# TYPE (squareoff_\w+) (\w+)$", rendered, re.MULTILINE))
    created = {name for name in typed if name.endswith("_created")}

    assert {name: typed[name] for name in typed.keys() - created} == {
        each.name: each.kind for each in Metrics().texts
    }


@pytest.mark.parametrize("query", [query for query, _ in QUERIES])
def test_every_query_names_what_there_is(query: str) -> None:
    """Metrics, and labels in selectors and groupings, exist."""
    names = _NAME.findall(query)

    assert [name for name in names if name not in _SERIES] == []
    labels = {label for name in names for label in _SERIES[name].labels} | {"le", "job"}
    for grouping in _BY.findall(query):
        assert {label.strip() for label in grouping.split(",")} <= labels, query
    for name, selectors in _SELECTOR.findall(query):
        wanted = set(re.findall(r"(\w+)\s*(?:=|!=)", selectors))
        assert wanted <= set(_SERIES[name].labels) | {"le"}, query


@pytest.mark.parametrize(("query", "text"), QUERIES)
def test_every_text_names_labels_that_the_result_has(query: str, text: str) -> None:
    """A legend or summary is filled from labels that are left after the grouping."""
    shown = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text))
    groupings = _BY.findall(query)
    if groupings:
        left = {label.strip() for grouping in groupings for label in grouping.split(",")}
    else:
        left = {label for name in _NAME.findall(query) for label in _SERIES[name].labels}

    assert shown <= left, query


def test_every_rule_says_what_to_do() -> None:
    """Names are unique, severities are two, and each rule has both texts."""
    rules = _rules()

    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "what_to_do"}


def test_a_query_that_names_nothing_is_found() -> None:
    """The check itself would see a metric that does not exist."""
    assert "squareoff_exits" not in _SERIES
    assert "squareoff_commit_seconds" not in _SERIES, "a histogram is queried by its parts"


@pytest.mark.parametrize(
    ("alert", "name"),
    [
        ("SquareoffCriticalAlarm", "squareoff_alarms"),
        ("SquareoffExitNeedsHuman", "squareoff_exits_ended"),
    ],
)
def test_an_alert_fires_for_the_first_of_its_kind(alert: str, name: str) -> None:
    """The first sample of a counter with labels is 1, so that its increase is 0: the alert looks
    at when the counter began, which another process begins anew."""
    metrics = Metrics()
    metrics.alarms.labels("critical", "over_exit").inc()
    metrics.exits_ended.labels("stop_loss", "needs_human").inc()
    (rule,) = (rule for rule in _rules() if rule.get("alert") == alert)

    assert re.search(rf"^{name}_created\{{.+}} \d", metrics.render().decode(), re.MULTILINE)
    assert rule["expr"].startswith(f"time() - {name}_created{{")
    assert f" or increase({name}_total{{" in rule["expr"]


def _rule(alert: str) -> dict[str, Any]:
    (rule,) = (rule for rule in _rules() if rule["alert"] == alert)
    return rule


def test_the_lag_of_the_feed_alerts_only_where_it_lasts() -> None:
    """The metric holds one late trade for half as long as the alert waits, and for nothing else."""
    rule = _rule("SquareoffFeedLate")

    assert rule["expr"] == "squareoff_feed_lag_seconds > 5"
    assert rule["for"] == f"{2 * TOLD_FOR_SECONDS / 60:.0f}m"
    assert math.isnan(_value_of_a_new_engine("squareoff_feed_lag_seconds"))


def test_silence_alone_alerts_nobody() -> None:
    """Neither the age of the newest price nor that of a trade is asked: a quiet option has old
    ones. What is missing is the engine's own word."""
    asked = {name for rule in _rules() for name in _NAME.findall(rule["expr"])}

    assert "squareoff_feed_age_seconds" not in asked
    assert _rule("SquareoffBlind")["expr"] == "squareoff_blind_instruments > 0"


def _value_of_a_new_engine(name: str) -> float:
    found = Metrics().registry.get_sample_value(name)
    assert found is not None, name
    return found
