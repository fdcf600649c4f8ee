"""EDGE.REPORT: what workers show in INFO, as another module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.edge.bare_redis import BareRedis, bare_redis
from tests.edge.switchboard.bare_switchboard import SIGNS_OF_A_CRASH, module_arguments
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[BareRedis]:
    with bare_redis(*module_arguments()) as server:
        with server.client() as client:
            client.execute_command("MODULE", "LOAD", str(server.binaries.switchboard), "INFO", "other")
        yield server
        assert not [sign for sign in SIGNS_OF_A_CRASH if sign in server.log()]


@pytest.fixture
def admin(server: BareRedis) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


def test_a_report_is_shown_until_its_connection_closes(server: BareRedis, admin: redis.Redis) -> None:
    assert admin.info("other") == {}
    worker = server.wire()
    words = (
        "SECTION",
        "versions",
        "FIELD",
        "mine",
        "1.2",
        "SECTION",
        "cpu",
        "FIELD",
        "used",
        "3",
        "FIELD",
        "x",
        "a\r\nb",
    )
    worker.call("EDGE.REPORT", "other", *words)
    assert admin.info("other") == {"other_mine": 1.2, "other_used": 3, "other_x": "a  b"}
    assert admin.info("other_cpu") == {"other_used": 3, "other_x": "a  b"}
    assert "rededge_main" in admin.info("modules")
    worker.call("EDGE.REPORT", "other", "SECTION", "versions", "FIELD", "mine", "1.3")
    assert admin.info("other") == {"other_mine": 1.3}
    worker.close()
    wait_for(lambda: admin.info("other") == {}, what="the end of the report")


@pytest.mark.parametrize(
    "words",
    [("SECTION",), ("FIELD", "name"), ("NAME", "x", "y"), ("SECTION", "s", "FIELD"), ("FIELD", "a", "b") * 100],
)
def test_a_malformed_report_is_refused_and_changes_nothing(
    server: BareRedis, admin: redis.Redis, words: tuple[str, ...]
) -> None:
    worker = server.wire()
    worker.call("EDGE.REPORT", "other", "SECTION", "s", "FIELD", "kept", "1")
    with pytest.raises(redis.ResponseError, match=r"EDGE\.REPORT takes"):
        worker.call("EDGE.REPORT", "other", *words)
    assert admin.info("other") == {"other_kept": 1}


def test_only_names_that_were_loaded_can_be_reported(admin: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="no such report"):
        admin.execute_command("EDGE.REPORT", "nobody", "SECTION", "s")


@pytest.mark.parametrize("name", ["other", "rededge", "", "x" * 64])
def test_a_name_is_loaded_once(server: BareRedis, admin: redis.Redis, name: str) -> None:
    with pytest.raises(redis.ResponseError):
        admin.execute_command("MODULE", "LOAD", str(server.binaries.switchboard), "INFO", name)
    assert len(admin.module_list()) == 2
