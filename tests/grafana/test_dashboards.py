"""The dashboards as files, and what provisions them: Grafana would load them, and every reference leads somewhere."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml

from tests.grafana.dashboards import FILES, FOLDER, TOP, load, panels, variables

PANEL_TYPES = {"timeseries", "stat", "bargauge", "table", "text"}
"""Those of today's Grafana; `graph`, `singlestat` and `table-old` are gone from Grafana 12."""


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


def test_files_are_up_to_date() -> None:
    from grafana.build import files

    made = files()
    assert sorted(made) == FILES
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert stale == [], "run `python -m grafana.build`"


def test_there_are_two_dashboards() -> None:
    assert {load(path)["title"] for path in FILES} == {"Video Stream Analytics", "Redis"}
    assert len({load(path)["uid"] for path in FILES}) == len(FILES)


def test_panels_are_of_types_that_grafana_has(dashboard: dict[str, Any]) -> None:
    assert {panel["type"] for panel in panels(dashboard)} <= PANEL_TYPES
    assert dashboard.get("id") is None
    assert "__inputs" not in dashboard


def test_panels_have_ids_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
    for one, other in itertools.combinations(dashboard["panels"], 2):
        assert not overlap(one["gridPos"], other["gridPos"]), f"{one['title']} lies on {other['title']}"


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_every_query_goes_to_the_chosen_source(dashboard: dict[str, Any]) -> None:
    chosen = {"type": "redis-datasource", "uid": "${redis}"}
    assert variables(dashboard, "datasource")["redis"]["query"] == "redis-datasource"
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            assert target["datasource"] == panel["datasource"] == chosen
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(refs)) == len(refs)
    for variable in variables(dashboard, "query").values():
        assert variable["datasource"] == chosen
        assert isinstance(variable["query"], str), "the data source takes one line of text"


def test_variables_that_are_used_are_defined(dashboard: dict[str, Any]) -> None:
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)[:}]", json.dumps(dashboard["panels"])))
    assert used <= defined


def test_no_query_polls_from_the_browser_or_writes(dashboard: dict[str, Any]) -> None:
    reading = {"memory", "dbsize", "rg.dumpexecutions", "ai.info", "hvals"}
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            assert not target.get("streaming"), "streamed series draw no lines since Grafana 10"
            assert not target["query"] or target["query"].split()[0] in reading


def test_the_provisioned_source_is_the_first_choice_of_the_dashboards() -> None:
    provisioned = yaml.safe_load((FOLDER / "provisioning/datasources/redis.yaml").read_text())
    (source,) = provisioned["datasources"]
    assert source["type"] == "redis-datasource"
    assert {type(source["jsonData"][name]) for name in ("poolSize", "timeout")} == {int}
    for path in FILES:
        assert variables(load(path), "datasource")["redis"]["current"]["value"] == source["uid"]


def test_compose_sets_the_variables_of_the_provisioning() -> None:
    compose = yaml.safe_load((TOP / "docker-compose.yml").read_text())
    given = set(compose["services"]["grafana"]["environment"])
    for path in (FOLDER / "provisioning").rglob("*.yaml"):
        assert set(re.findall(r"\$\{?(\w+)\}?", path.read_text())) <= given, path


def test_dashboards_are_provisioned_from_the_folder_where_compose_puts_them() -> None:
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/rededge.yaml").read_text())["providers"]
    grafana = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]["grafana"]
    taken, filled, _ = grafana["command"]
    assert provider["options"]["path"] == filled
    assert f"./grafana/dashboards:{taken}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in {f"{filled}/{path.name}" for path in FILES}
