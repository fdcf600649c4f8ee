"""Moving slots of a Redis Cluster to another shard, the one in which the workers keep what they know among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot

from rededge_nb import schema
from rededge_nb.capture.run import capture
from rededge_nb.connection import shard_of
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.provision import known_cameras, provision
from rededge_nb.edge.client import client_from_url, key_names, shard
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.series import read_many
from tests.edge.cluster import Shard, place, redis_cluster
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Shard]]:
    with redis_cluster() as shards:
        yield shards


def move_slot(slot: int, source: Shard, target: Shard) -> None:
    """Do what `redis-cli --cluster reshard` does."""
    ids = {each: each.client.execute_command("CLUSTER", "MYID") for each in (source, target)}
    target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    where = ("127.0.0.1", target.port, "", 0, 5000, "AUTH", source.password)
    while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source.client.execute_command("MIGRATE", *where, "KEYS", *keys)
    for each in (target, source):
        each.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


def capture_and_settle(client: redis.Redis, video: Path, camera: str) -> None:
    """Have two frames counted and acknowledged: what is still pending may be counted once more after a move."""
    capture(client, video, camera=camera, pace="asap", frames=2)
    with shard_of(client, camera) as home:
        group = (schema.frames_key(camera), "__gears_consumer_group__")
        wait_for(lambda: home.xpending(*group)["pending"] == 0, what="the acknowledgement")


def test_a_camera_moves_with_its_slot(cluster: list[Shard], video: Path) -> None:
    stays, moves = "{1}", "{2}"
    assert [place(schema.frames_key(camera)) for camera in (stays, moves)] == [1, 1]
    provision(cluster[0].client, cameras=[stays, moves])
    capture_and_settle(cluster[0].client, video, moves)
    move_slot(key_slot(schema.frames_key(moves).encode()), cluster[1], cluster[0])
    there, left = client_from_url(cluster[0].url), client_from_url(cluster[1].url)
    provision(there, cameras=[stays, moves])
    capture_and_settle(left, video, moves)
    assert len(read_detections(there, moves)) == 4
    people = read_many(there, moves, ["people", "people_max_1m"])["people"]
    assert len(people) == 2, "the samples of a recording that is counted again replace those of before"
    assert provision(there, cameras=[stays, moves]) == []
    assert known_cameras(left) == [stays]
    assert [each.stream for each in list_registrations(left)] == [schema.frames_key(stays)]
    assert [each.stream for each in list_registrations(there)] == [schema.frames_key(moves)]
    there.close()
    left.close()


def test_workers_restart_when_their_slot_has_moved(cluster: list[Shard], video: Path) -> None:
    camera, (first, _, last) = "{3}", cluster
    assert place(schema.frames_key(camera)) == 0
    before = client_from_url(first.url)
    provision(before, cameras=[camera])
    capture_and_settle(before, video, camera)
    move_slot(0, first, last)
    wait_for(first.worker_ended, what="the worker to notice", timeout=30)
    assert "the state of the workers has moved" in (first.folder / "worker.log").read_text()
    with pytest.raises(redis.exceptions.MovedError):
        state_client(before).get(key_names.sessions_version(before))
    first.start_worker()
    first.wait_for_worker()
    renewed = client_from_url(first.url)
    assert shard.tag(renewed) == shard.tag_of_slot(1)
    assert schema.frames_key(camera) in {each.stream for each in list_registrations(renewed)}, "from the functions"
    provision(last.client, cameras=[camera])
    capture_and_settle(last.client, video, camera)
    assert len(read_detections(renewed, camera)) == 4
    assert not last.worker_ended(), "it keeps its own slot"
    before.close()
    renewed.close()
