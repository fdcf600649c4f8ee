"""A Redis Cluster of three shards, a worker each: every camera lives on one of them, with all that it needs there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

from rededge_nb import assets, schema, settings
from rededge_nb.capture.run import capture
from rededge_nb.capture.sources import open_source
from rededge_nb.cli.base import explained
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.inference import detect_people
from rededge_nb.control.models import key_of, load_card
from rededge_nb.control.provision import known_cameras, provision, read_settings
from rededge_nb.edge.client import key_names, shard
from rededge_nb.errors import ConfigurationError
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.series import camera_ids, read_many
from rededge_nb.web.api import read_cameras
from tests.conftest import empty
from tests.edge.cluster import FIRST_SLOTS, Shard, place, redis_cluster
from tests.gear_scripts import execute
from tests.waiting import wait_for

CAMERAS = ["{0}", "{1}", "{2}", "{3}"]
GROUP = "__gears_consumer_group__"


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Shard]]:
    with redis_cluster() as shards:
        yield shards


@pytest.fixture
def clients(cluster: list[Shard]) -> list[redis.Redis]:
    """A client of each shard; no shard has gears or keys."""
    for each in cluster:
        empty(each.client)
    return [each.client for each in cluster]


def home(camera: str) -> int:
    """Which shard a camera's keys belong to."""
    return place(schema.frames_key(camera))


def on_shard(number: int, name: str = "k", count: int = 1) -> list[str]:
    """Keys of different slots that belong to a shard."""
    keys = (f"{name}{{{attempt}}}" for attempt in range(1000))
    return [key for key in keys if place(key) == number][:count]


def names(client: redis.Redis, pattern: str) -> set[str]:
    return {key.decode() for key in client.scan_iter(pattern)}


def of_users(client: redis.Redis) -> set[str]:
    return {key for key in names(client, "*") if not key.startswith(key_names.PREFIX)}


def test_every_camera_is_counted_on_its_own_shard(clients: list[redis.Redis], video: Path) -> None:
    assert sorted({home(camera) for camera in CAMERAS}) == [0, 1, 2], "cameras on every shard"
    provision(clients[0], cameras=CAMERAS)
    for camera in CAMERAS:
        # by way of a shard that has nothing of this camera
        elsewhere = clients[(home(camera) + 1) % 3]
        assert capture(elsewhere, video, camera=camera, pace="asap", frames=4).frames == 4
    for camera in CAMERAS:
        client = clients[home(camera)]
        refs = [entry_id.decode() for entry_id, _ in client.xrange(schema.frames_key(camera))]
        assert len(refs) == 4
        found = read_detections(client, camera)
        assert [each.ref for each in found] == refs
        assert all(1 <= each.people <= 10 for each in found)
        for name, series in read_many(client, camera, schema.raw_series_names()).items():
            assert len(series) >= (1 if schema.sums(name) else 3), f"{name} of {camera}"
            assert series.labels == schema.labels(camera, name)
        rules = [rule.key for spec in schema.series_specs(camera) for rule in spec.rules]
        assert client.exists(*rules) == len(rules) == 12
        summary = (client.xpending, schema.frames_key(camera), GROUP)
        wait_for(lambda ask=summary: ask[0](*ask[1:])["pending"] == 0, what="the last acknowledgement")
    for number, client in enumerate(clients):
        own = [camera for camera in CAMERAS if home(camera) == number]
        assert known_cameras(client) == own
        assert {key.split(":")[1] for key in names(client, "camera:*")} == set(own)
        registered = list_registrations(client)
        assert [(each.stream, each.status, each.failed) for each in registered] == [
            (schema.frames_key(camera), "OK", 0) for camera in own
        ]
        assert all(each.succeeded >= 4 for each in registered)


def test_keys_that_belong_to_a_shard_have_its_tag(clients: list[redis.Redis]) -> None:
    provision(clients[2], cameras=CAMERAS)
    for number, client in enumerate(clients):
        tag = shard.tag(client)
        assert tag is not None
        assert key_slot(tag.encode()) == FIRST_SLOTS[number], "the shard's first slot"
        assert of_users(client) - names(client, "camera:*") == {
            f"cameras:{{{tag}}}", f"people_counter:settings:{{{tag}}}", f"model:nanodet-g-two-sizes:{{{tag}}}",
        }  # fmt: skip
        own = names(client, f"{key_names.PREFIX}*")
        assert own
        assert all(key.startswith(f"{key_names.PREFIX}{{{tag}}}:") for key in own)
        assert read_settings(client)["model"] == f"model:nanodet-g-two-sizes:{{{tag}}}"
        assert execute(client, "GB('ShardsIDReader').map(lambda r: hashtag()).run()") == [[tag.encode()], []]
    assert provision(clients[1], cameras=CAMERAS) == [], "all is there"


def test_a_users_gear_and_model_stay_on_their_shard(clients: list[redis.Redis], tmp_path: Path) -> None:
    number = home("{0}")
    here, elsewhere = clients[number], clients[(number + 1) % 3]
    (tmp_path / "mine.py").write_text(assets.gear_file().read_text() + "\n# mine\n")
    shutil.copy(assets.model_card_file().with_suffix(".onnx"), tmp_path)
    (tmp_path / "mine.yaml").write_text(assets.model_card_file().read_text().replace("nanodet-g-two-sizes\n", "mine\n"))
    provision(elsewhere, cameras=["{0}"], gear=str(tmp_path / "mine.py"), model=str(tmp_path / "mine.yaml"))
    before = [(each.id, each.session_description) for each in list_registrations(here)]
    assert here.exists(f"gear:people_counter:{{{shard.tag(here)}}}")
    assert provision(elsewhere, cameras=["{0}"]) == provision(here, cameras=["{0}"]) == []
    assert [(each.id, each.session_description) for each in list_registrations(here)] == before
    assert read_settings(here)["model"] == f"model:mine:{{{shard.tag(here)}}}"


def test_a_name_without_braces_is_refused(clients: list[redis.Redis], video: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"camera 7 in a Redis Cluster.* name it \{7\}"):
        provision(clients[0], cameras=["7"])
    with pytest.raises(ConfigurationError, match=r"camera a\{\}b in a Redis Cluster"):
        capture(clients[0], video, camera="a{}b", frames=1)
    assert [of_users(client) for client in clients] == [set()] * 3


def test_the_error_names_the_shard_that_has_the_key(cluster: list[Shard], clients: list[redis.Redis]) -> None:
    (key,) = on_shard(2)
    with pytest.raises(redis.exceptions.MovedError) as caught:
        clients[0].get(key)
    _, message = explained(caught.value)
    assert message.endswith(f"the shard at 127.0.0.1:{cluster[2].port} serves: set REDIS_URL to that address")
    _, errors = execute(clients[0], f"GB('ShardsIDReader').map(lambda r: execute('GET', '{key}')).run()")
    assert f"127.0.0.1:{cluster[2].port}".encode() in errors[0]


def test_the_command_line_uses_the_cameras_shard(cluster: list[Shard], clients: list[redis.Redis]) -> None:
    command = [sys.executable, "-m", "rededge_nb.cli", "capture", "synthetic:people=2", "--camera", "{0}"]
    command += ["--frames", "2", "--pace", "asap", "--json"]
    environment = os.environ | {settings.REDIS_URL: cluster[(home("{0}") + 1) % 3].url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 2
    assert clients[home("{0}")].xlen(schema.detections_key("{0}")) == 2


def test_kill_9_of_a_worker_loses_no_frame(cluster: list[Shard], clients: list[redis.Redis], video: Path) -> None:
    provision(clients[0], cameras=["{0}"])
    number = home("{0}")
    client = clients[number]
    capture(client, video, camera="{0}", pace="asap", frames=2)
    cluster[number].kill_worker()
    with open_source(video) as source:
        ok, jpeg = cv2.imencode(".jpg", next(iter(source)))
    assert ok
    sent = [client.xadd("camera:{0}", {"image": jpeg.tobytes(), "keep": 1}).decode() for _ in range(6)]
    cluster[number].start_worker()
    # not on its first frame: two workers that die with the same frame pause the gear
    wait_for(lambda: set(sent[:2]) <= {each.ref for each in read_detections(client, "{0}")}, what="two", timeout=30)
    cluster[number].kill_worker()
    cluster[number].start_worker()
    wait_for(lambda: set(sent) <= {each.ref for each in read_detections(client, "{0}")}, what="all", timeout=30)
    assert len(read_detections(client, "{0}")) <= 2 + 6 + 2, "only a frame in progress at a kill may be counted twice"


def test_flushall_of_one_shard_does_not_affect_the_others(clients: list[redis.Redis]) -> None:
    provision(clients[0], cameras=CAMERAS)
    before = [[each.stream for each in list_registrations(client)] for client in clients]
    clients[1].flushall()
    assert [[each.stream for each in list_registrations(client)] for client in clients] == before
    assert known_cameras(clients[1]) == []
    assert known_cameras(clients[2])


@pytest.mark.parametrize("options", ["batch=1", "batch=3, duration=200"])
def test_streams_of_several_slots_under_one_prefix(clients: list[redis.Redis], options: str) -> None:
    client = clients[0]
    streams = on_shard(0, "p:", count=3)
    (seen,) = on_shard(0, "seen")
    script = f"GB('StreamReader').foreach(lambda r: execute('RPUSH', '{seen}', r['key'])).register('p:*', {options})"
    for stream in streams:
        client.xadd(stream, {"n": 0})
    execute(client, script)
    wait_for(lambda: client.llen(seen) == 3, what="what was there")
    for _ in range(4):
        for stream in streams:
            client.xadd(stream, {"n": 1})
    wait_for(lambda: client.llen(seen) == 15, what="what came later")
    assert {client.lrange(seen, 0, -1).count(stream.encode()) for stream in streams} == {5}
    wait_for(lambda: not any(client.xlen(stream) for stream in streams), what="the acknowledgements")


def test_keyspace_events_of_a_shard(clients: list[redis.Redis]) -> None:
    (key,), (heard,) = on_shard(1, "event"), on_shard(1, "heard")
    execute(
        clients[1], f"GB('KeysReader').foreach(lambda r: execute('RPUSH', '{heard}', r['event'])).register('event*')"
    )
    clients[1].set(key, 1)
    wait_for(lambda: clients[1].lrange(heard, 0, -1) == [b"set"], what="the event")


def test_atomic_and_timers_of_a_gear(clients: list[redis.Redis]) -> None:
    for number, client in enumerate(clients):
        (timer,) = on_shard(number, "timer")
        (beats,) = on_shard(number, "beats")
        script = f"""
def work(r):
    tag = hashtag()
    with atomic():
        execute('SET', 'a{{' + tag + '}}', 1)
        execute('INCR', 'a{{' + tag + '}}')
    with atomic():
        keys = execute('DBSIZE')
        assert keys > 0
    registerTE(0.02, lambda: execute('INCR', '{beats}'), '{timer}')
    return execute('GET', 'a{{' + tag + '}}')
GB('ShardsIDReader').map(work).run()
"""
        assert execute(client, script) == [[b"2"], []]
        wait_for(lambda c=client, k=beats: int(c.get(k) or 0) >= 2, what="the timer")
        client.delete(timer)


def test_models_run_through_a_client_of_the_whole_cluster(
    cluster: list[Shard], clients: list[redis.Redis], video: Path
) -> None:
    card = load_card(assets.model_card_file())
    with open_source(video) as source:
        image = next(iter(source))
    provision(clients[0], cameras=CAMERAS)
    everywhere: Any = RedisCluster.from_url(cluster[0].url)
    for client in clients:
        boxes, _ = detect_people(client, card, image)
        assert len(boxes) >= 1
        model = key_of(client, card)
        tag = shard.tag(client)
        picture, outputs = f"picture{{{tag}}}", [f"boxes{{{tag}}}", f"scores{{{tag}}}"]
        width, height = card.input_wh
        pixels = cv2.resize(image, (width, height)).tobytes()
        everywhere.execute_command("AI.TENSORSET", picture, "UINT8", 1, height, width, 3, "BLOB", pixels)
        words = ("INPUTS", 1, picture, "OUTPUTS", 2, *outputs)
        assert everywhere.execute_command("AI.MODELEXECUTE", model, *words) == b"OK"
        shape = everywhere.execute_command("AI.TENSORGET", outputs[0], "META")[3]
        assert list(shape)[::2] == [1, 4]
        assert client.exists(*outputs) == 2
    everywhere.close()


def test_a_trigger_runs_on_the_shard_of_its_key(cluster: list[Shard], clients: list[redis.Redis]) -> None:
    for client in clients:
        execute(client, "GB('CommandReader').map(lambda r: hashtag()).register(trigger='where')")
    everywhere: Any = RedisCluster.from_url(cluster[1].url)
    for number, client in enumerate(clients):
        (key,) = on_shard(number)
        assert everywhere.execute_command("RG.TRIGGERONKEY", "where", key) == [str(shard.tag(client)).encode()]
    everywhere.close()


def test_series_of_all_shards_are_found_through_any_of_them(clients: list[redis.Redis]) -> None:
    provision(clients[0], cameras=CAMERAS)
    own = [[camera for camera in CAMERAS if home(camera) == number] for number in range(3)]

    def found(client: redis.Redis) -> list[str]:
        keys = client.execute_command("TS.QUERYINDEX", f"__name__={schema.PEOPLE}")
        return sorted(key.decode().split(":")[1] for key in keys)

    assert [found(client) for client in clients] == own
    for client in clients:
        client.execute_command("TIMESERIES.REFRESHCLUSTER")
    for client in clients:
        wait_for(lambda c=client: found(c) == CAMERAS, what="the series of all shards")
    # what looks at cameras looks at those that it can read the frames of
    assert [camera_ids(client) for client in clients] == own
    assert [[each["id"] for each in read_cameras(client)] for client in clients] == own
