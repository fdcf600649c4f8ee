"""`rededge init`: what it makes, that twice changes nothing, that an edit upgrades; and the model cards it reads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
import yaml

from rededge_nb import assets, schema
from rededge_nb.capture.run import capture, start_capture
from rededge_nb.control import provision as provisioning
from rededge_nb.control.gears import list_registrations, pause_gear, readable_error, register_gear, unregister_gear
from rededge_nb.control.models import TrackingThresholds, list_models, load_card, remove_model, stored_model
from rededge_nb.control.provision import known_cameras, provision, read_settings, use_model
from rededge_nb.control.worker_code import other_code
from rededge_nb.edge.client import client_like, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.package_code import own_code
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError, GearError, ModelCardError, ModelError, WaitTimeoutError
from rededge_nb.lease import hold_lease
from rededge_nb.monitoring.status import server_status
from rededge_nb.reading.series import create_series
from tests.waiting import wait_for


def test_twice_changes_nothing(client: redis.Redis) -> None:
    changes = provision(client)
    assert changes[:2] == [
        "stored model nanodet-g-two-sizes as model:nanodet-g-two-sizes",
        "created 26 series and 12 compaction rules for camera 0",
    ]
    assert changes[-1] == "registered gear people_counter for camera:0"
    before = list_registrations(client)
    assert provision(client) == []
    assert list_registrations(client) == before
    assert [model.key for model in list_models(client)] == ["model:nanodet-g-two-sizes"]
    rules = client.execute_command("TS.INFO", "camera:0:people")
    buckets = {rule[1] for rule in rules[rules.index(b"rules") + 1]}
    assert buckets == {60_000, 300_000, 900_000}, "milliseconds"


def test_the_model_runs_where_the_user_says_and_stays_there(client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match="the device is 'tpu': write cpu, or cuda:0"):
        provision(client, device="tpu")
    provision(client, device="cpu")
    key = "model:nanodet-g-two-sizes"
    assert client.execute_command("AI.MODELGET", key, "META")[3] == b"CPU"
    try:
        assert provision(client, device="cuda:0") == [f"stored model nanodet-g-two-sizes as {key} on GPU:0"]
        assert provision(client) == [], "it stays there"
    except ModelError as error:
        assert "GPU requested but ONNX couldn't find CUDA: " in str(error)  # noqa: PT017  # on a machine without GPU
        assert provision(client) == [], "the model that works is kept"
    blob = load_card(assets.model_card_file("416")).read()
    client.execute_command("AI.MODELSTORE", key, "ONNX", "CPU:1", "TAG", "older", "BLOB", blob)
    assert provision(client) == [f"stored model nanodet-g-two-sizes as {key} on CPU:1"], (
        "an upgrade stays on the device"
    )
    assert use_model(client, "fast")[0] == "stored model nanodet-g-fast as model:nanodet-g-fast on CPU:1"
    assert provision(client, device="cpu") == ["stored model nanodet-g-fast as model:nanodet-g-fast"]


def test_a_new_camera_joins_those_there_are(client: redis.Redis) -> None:
    provision(client)
    changes = provision(client, cameras=["desk"])
    assert changes[-1] == "registered gear people_counter for camera:desk"
    assert known_cameras(client) == ["0", "desk"]
    assert {found.stream for found in list_registrations(client)} == {"camera:0", "camera:desk"}


def test_a_new_camera_does_not_interrupt_the_others(client: redis.Redis) -> None:
    provision(client)
    with start_capture(client, "synthetic:people=1,size=128x64,fps=20") as running:
        wait_for(lambda: list_registrations(client)[0].succeeded > 3, what="executions")
        before = list_registrations(client)[0]
        for camera in ("yard", "desk"):
            provision(client, cameras=[camera])
        after = {found.stream: found for found in list_registrations(client)}
        assert set(after) == {"camera:0", "camera:yard", "camera:desk"}
        assert after["camera:0"].id == before.id
        assert after["camera:0"].triggered >= before.triggered
        wait_for(lambda: list_registrations(client)[0].succeeded > before.succeeded + 3, what="more executions")
    assert running.report.frames > 0
    for camera in ("yard", "desk"):
        assert capture(client, "synthetic:people=1,size=128x64,frames=2", camera=camera, pace="asap").frames == 2
    after_all = list_registrations(client)
    assert provision(client, cameras=["0", "yard", "desk"]) == []
    assert [found.id for found in list_registrations(client)] == [found.id for found in after_all]


def test_a_paused_camera_stays_paused_when_another_one_joins(client: redis.Redis) -> None:
    provision(client)
    pause_gear(client, list_registrations(client)[0].id)
    provision(client, cameras=["desk"])
    assert {found.stream: found.status for found in list_registrations(client)} == {
        "camera:0": "PAUSED",
        "camera:desk": "OK",
    }


def test_many_that_provision_at_the_same_moment_do_not_disturb_each_other(client: redis.Redis) -> None:
    barrier = threading.Barrier(6)

    def work(camera: str) -> list[str]:
        own = client_like(client)
        barrier.wait()
        return provision(own, cameras=["0", camera])

    cameras = [f"c{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        changes = [change for found in pool.map(work, cameras) for change in found]
    assert sum(change.startswith("stored model") for change in changes) == 1
    assert sum(change.startswith("created 26 series") for change in changes) == 7
    assert known_cameras(client) == ["0", *cameras]
    assert [found.stream for found in list_registrations(client)] == [f"camera:{each}" for each in ["0", *cameras]]
    assert provision(client, cameras=cameras) == []


def test_who_provisions_and_does_not_end_is_named(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "_TIMEOUT", 0.5)
    with (
        hold_lease(client, "rededge:provisioning", timeout=1),
        pytest.raises(WaitTimeoutError, match=rf"process {os.getpid()} on .* has held rededge:provisioning since"),
    ):
        provision(client)
    assert provision(client)


def test_series_that_two_clients_create_at_once_are_right(client: redis.Redis) -> None:
    """As an older version does, which takes no lease."""
    barrier = threading.Barrier(4)

    def work(_: int) -> list[str]:
        own = client_like(client)
        barrier.wait()
        return create_series(own, "door")

    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert create_series(client, "door") == []
        client.flushall()


def scripts(client: redis.Redis) -> set[tuple[str, str]]:
    """Stream and session description of every registration."""
    return {(found.stream, found.session_description) for found in list_registrations(client)}


@pytest.fixture
def own_gear(tmp_path: Path) -> Path:
    path = tmp_path / "my_counter.py"
    path.write_text(assets.gear_file().read_text() + "\n# my own\n")
    return path


@pytest.fixture
def own_card(tmp_path: Path) -> Path:
    """A card with the bundled one's name and key: the nearest that a user's can come to it."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "nanodet-g-two-sizes.onnx").write_bytes(load_card(assets.model_card_file()).read() + b"\x72\x00")
    fields = yaml.safe_load(assets.model_card_file().read_text())
    fields["sha256"] = hashlib.sha256((folder / "nanodet-g-two-sizes.onnx").read_bytes()).hexdigest()
    (folder / "own.yaml").write_text(yaml.safe_dump(fields))
    return folder / "own.yaml"


def test_an_own_gear_stays_and_cameras_that_come_later_get_it(client: redis.Redis, own_gear: Path) -> None:
    provision(client)
    assert provision(client, gear=str(own_gear)) == ["upgraded gear people_counter for camera:0"]
    [(_, own)] = scripts(client)
    own_gear.unlink()
    before = list_registrations(client)
    assert provision(client) == []
    assert list_registrations(client) == before
    provision(client, cameras=["desk"])
    assert scripts(client) == {("camera:0", own), ("camera:desk", own)}
    for found in list_registrations(client):
        unregister_gear(client, found.id)
    assert provision(client) == ["registered gear people_counter for camera:0, camera:desk"]
    assert scripts(client) == {("camera:0", own), ("camera:desk", own)}
    assert provision(client, gear=assets.PEOPLE_COUNTER) == ["upgraded gear people_counter for camera:0, camera:desk"]
    assert provision(client) == []
    assert own not in {description for _, description in scripts(client)}


def test_a_gear_that_is_refused_is_not_kept(client: redis.Redis, own_gear: Path) -> None:
    provision(client)
    before = scripts(client)
    own_gear.write_text("1 / 0")
    with pytest.raises(GearError, match="ZeroDivisionError"):
        provision(client, gear=str(own_gear))
    assert provision(client) == []
    assert scripts(client) == before


def test_a_gear_registered_by_hand_stays(client: redis.Redis, own_gear: Path) -> None:
    provision(client)
    register_gear(client, own_gear.read_text(), session="people_counter")
    before = list_registrations(client)
    assert provision(client) == []
    assert list_registrations(client) == before
    with pytest.raises(GearError, match=r"by hand, for camera:0: to let it read camera:desk too, register its script"):
        provision(client, cameras=["desk"])
    register_gear(client, own_gear.read_text(), session="people_counter")
    assert provision(client, cameras=["desk"]) == []
    assert scripts(client) == {("camera:0", ""), ("camera:desk", "")}


def test_an_own_gear_outlives_flushall(client: redis.Redis, own_gear: Path) -> None:
    """Registrations do; the script that was kept beside them does not."""
    provision(client, gear=str(own_gear))
    before = scripts(client)
    client.flushall()
    provision(client)
    assert scripts(client) == before


def test_a_missing_gear_changes_nothing(client: redis.Redis, tmp_path: Path) -> None:
    with pytest.raises(GearError, match=r"the gear script .*nope\.py cannot be read"):
        provision(client, gear=str(tmp_path / "nope.py"))
    assert known_cameras(client) == list_models(client) == []
    assert read_settings(client) == {}


@pytest.mark.parametrize("give", [use_model, lambda client, card: provision(client, model=card)])
def test_an_own_model_stays(client: redis.Redis, own_card: Path, give: Callable[[redis.Redis, str], object]) -> None:
    provision(client)
    give(client, str(own_card))
    settings, stored = read_settings(client), list_models(client)
    assert settings["model_tag"] == load_card(own_card).tag
    provision(client, cameras=["desk"])
    assert (read_settings(client), list_models(client)) == (settings, stored)
    provision(client, model=assets.DEFAULT_MODEL)
    assert read_settings(client)["model_tag"] == load_card(assets.model_card_file()).tag
    assert provision(client) == []


def test_an_own_model_that_is_gone_leaves_its_place(client: redis.Redis, own_card: Path) -> None:
    provision(client, model=str(own_card))
    remove_model(client, "model:nanodet-g-two-sizes")
    assert provision(client)[0] == "stored model nanodet-g-two-sizes as model:nanodet-g-two-sizes"
    assert read_settings(client)["model_from"] == "bundled"


def test_workers_with_another_version_of_the_package_keep_the_gear_that_they_run(
    edge: Instance, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no worker has just ended, so that nothing has to be waited for
    monkeypatch.setattr("rededge_nb.control.provision.STALE", 0.0)
    assert other_code(client) == "", "a worker that this package has started"
    provision(client)
    before, settings = list_registrations(client), read_settings(client)
    shutil.copytree(assets.folder("gears"), tmp_path / "gears")
    shutil.copytree(assets.folder("models"), tmp_path / "models")
    with (tmp_path / "gears" / "people_counter.py").open("a") as script:
        script.write("\n# of the new version\n")
    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "rededge_nb")
    state = state_client(client)
    heartbeat = key_names.heartbeat(state, "started-by-another-version")
    here = own_code()
    for code, there in (
        ({}, "the workers run an older rededge_nb, and this is rededge_nb"),
        ({"code": here | {"version": "0.0.9", "analytics": "x"}}, "the workers run rededge_nb 0.0.9, and this is"),
        ({"code": here | {"analytics": "x"}}, f"the workers run rededge_nb {here['version']}, and its files have been"),
    ):
        state.set(heartbeat, json.dumps({"busy": {}, **code}))
        (told,) = provision(client)
        assert told.startswith(f"kept what counts as it is: {there}")
        assert "restart them with `rededge down` and `rededge up`" in told
    (warning,) = server_status(edge.url, edge)["warnings"]
    assert warning == told.removeprefix("kept what counts as it is: ")
    with pytest.raises(GearError, match=r"'people_counter' was not registered for camera:desk: the workers run"):
        provision(client, cameras=["desk"])
    assert known_cameras(client) == ["0"]
    assert provision(client, model="fast")[-1] == f"warning: {warning}", "whoever names it gets it"
    assert provision(client, model=assets.DEFAULT_MODEL)
    assert (list_registrations(client), read_settings(client)) == (before, settings)
    # another version with the same modules for gears
    state.set(heartbeat, json.dumps({"busy": {}, "code": here | {"version": "0.0.9"}}))
    assert provision(client) == ["upgraded gear people_counter for camera:0"]
    # nothing counts yet: whether the gear can run there is not known
    for found in list_registrations(client):
        unregister_gear(client, found.id)
    state.set(heartbeat, "{}")
    registered, warning = provision(client)
    assert registered == "registered gear people_counter for camera:0"
    assert warning.startswith("warning: the workers run an older rededge_nb")
    state.delete(heartbeat)
    assert provision(client) == []


def test_what_is_bundled_is_upgraded_after_an_edit(
    client: redis.Redis, own_card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provision(client)
    [(_, before)] = scripts(client)
    own_card.rename(own_card.with_name("nanodet-g-two-sizes.yaml"))
    shutil.copytree(assets.folder("gears"), tmp_path / "gears")
    with (tmp_path / "gears" / "people_counter.py").open("a") as script:
        script.write("\n# edited\n")
    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "rededge_nb")
    changes = provision(client)
    assert changes[0] == "stored model nanodet-g-two-sizes as model:nanodet-g-two-sizes"
    assert changes[-1] == "upgraded gear people_counter for camera:0"
    [(_, after)] = scripts(client)
    assert before != after
    assert provision(client) == []


def test_thresholds_that_a_user_set_stay_until_the_model_changes(client: redis.Redis) -> None:
    provision(client)
    client.hset(schema.GEAR_SETTINGS_KEY, "confidence", "0.6")
    assert provision(client) == []
    assert read_settings(client)["confidence"] == "0.6"
    client.hset(schema.GEAR_SETTINGS_KEY, "model_tag", "an-older-model@000")
    provision(client)
    assert read_settings(client)["confidence"] == "0.5"


def test_a_bundled_model_that_was_named_stays(client: redis.Redis) -> None:
    provision(client)
    assert use_model(client, "fast")[0] == "stored model nanodet-g-fast as model:nanodet-g-fast"
    assert provision(client, cameras=["desk"])[-1] == "registered gear people_counter for camera:desk"
    settings = read_settings(client)
    assert settings["model"] == "model:nanodet-g-fast"
    remove_model(client, "model:nanodet-g-fast")
    assert provision(client) == ["stored model nanodet-g-fast as model:nanodet-g-fast"]
    assert read_settings(client) == settings
    use_model(client, assets.DEFAULT_MODEL)
    assert read_settings(client)["model"] == "model:nanodet-g-two-sizes"
    assert provision(client) == []


def test_the_settings_of_an_older_version_follow_the_default_model(client: redis.Redis) -> None:
    client.hset(
        schema.GEAR_SETTINGS_KEY,
        mapping={
            "model": "model:nanodet-g-416", "model_tag": "nanodet-g-416@1f5398e6c884", "model_from": "bundled",
            "width": 416, "height": 416, "class_id": 0, "confidence": 0.4, "iou": 0.5,
        },
    )  # fmt: skip
    provision(client)
    settings = read_settings(client)
    assert (settings["model"], settings["resize"]) == ("model:nanodet-g-two-sizes", "aspect")
    assert (settings["confidence"], settings["iou"]) == ("0.5", "0.55")


def test_a_model_that_was_written_by_hand_stays_if_it_is_stored(client: redis.Redis, card_file: Path) -> None:
    provision(client)
    client.hset(schema.GEAR_SETTINGS_KEY, "model", "model:mine")
    client.execute_command("AI.MODELSTORE", "model:mine", "ONNX", "CPU", "BLOB", load_card(card_file).read())
    assert provision(client) == []
    assert read_settings(client)["model"] == "model:mine"


def test_settings_of_another_model_are_replaced_together(client: redis.Redis, card_file: Path) -> None:
    provision(client, model="fast")
    fast = read_settings(client)
    assert fast | {
        "width": "384", "height": "288", "resize": "aspect", "multiple": "32", "class_id": "0", "confidence": "0.45",
        "iou": "0.55", "tracking_low": "-0.1", "tracking_high": "+0.05", "tracking_new": "+0.15",
    } == fast  # fmt: skip
    client.hset(schema.GEAR_SETTINGS_KEY, mapping={"tracking_new": "0.3", "iou": "0.9", "different": "1"})
    fields = yaml.safe_load(card_file.read_text())
    del fields["tracking"], fields["input"]["resize"], fields["measured"]
    card_file.write_text(yaml.safe_dump(fields | {"name": "mine", "key": "model:mine"}))
    use_model(client, str(card_file))
    settings = read_settings(client)
    assert (settings["resize"], settings["multiple"], settings["iou"]) == ("stretch", "32", "0.55")
    assert not any(name.startswith("tracking_") for name in settings), "the gear's own apply"
    assert settings["different"] == "1", "this one is not about a model"


def test_a_model_that_is_gone_is_stored_again(client: redis.Redis) -> None:
    provision(client)
    remove_model(client, "model:nanodet-g-two-sizes")
    assert stored_model(client, "model:nanodet-g-two-sizes") is None
    assert provision(client) == ["stored model nanodet-g-two-sizes as model:nanodet-g-two-sizes"]
    with pytest.raises(ModelError, match=r"AI\.MODELDEL nothing: model key is empty"):
        remove_model(client, "nothing")


INPUT = {"name": "image", "width": 512, "height": 384, "resize": "aspect", "multiple": 32}


@pytest.fixture
def card_file(tmp_path: Path) -> Path:
    shutil.copy(assets.folder("models") / "nanodet-g-two-sizes.onnx", tmp_path)
    shutil.copy(assets.model_card_file(), tmp_path)
    return tmp_path / "nanodet-g-two-sizes.yaml"


def test_the_bundled_card_is_true(card_file: Path) -> None:
    card = load_card(card_file)
    assert (card.input_wh, card.resize, card.multiple) == ((512, 384), "aspect", 32)
    assert (card.class_id, card.classes) == (0, ("person",))
    assert card.tracking == TrackingThresholds(0.35, 0.55, 0.65)
    assert card.licence == "Apache-2.0"
    assert len(card.read()) == card.file.stat().st_size > 7_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "has sha256 debdbbf5.*card says 000"),
        ({"file": "gone.onnx"}, "gone.onnx of card 'nanodet-g-two-sizes' cannot be read"),
        ({"counting": {}}, "lacks or misspells a field .*class_id"),
        ({"input": None}, "lacks or misspells a field"),
        ({"classes": 3}, "lacks or misspells a field"),
        ({"classes": []}, "class_id is 0, and there are 0 classes"),
        ({"input": INPUT | {"resize": "crop"}}, "input.resize is 'crop': write stretch, aspect, letterbox"),
        ({"input": INPUT | {"multiple": 0}}, "input is 512x384, multiple 0: 1 or more is needed"),
        ({"input": INPUT | {"multiple": "many"}}, "lacks or misspells a field"),
        ({"counting": {"class_id": 0, "confidence": 50, "iou": 0.55}}, "counting.confidence is 50.0: a number from 0"),
        ({"tracking": {"low": 0.6, "high": 0.5, "new": 0.7}}, "tracking has low 0.6, .*in ascending order"),
        ({"tracking": {"low": 0.1}}, "lacks or misspells a field .*high"),
        ({"measured": {"time": "fast"}}, "lacks or misspells a field"),
    ],
)
def test_a_wrong_card_is_refused(card_file: Path, change: dict[str, object], message: str) -> None:
    fields = yaml.safe_load(card_file.read_text()) | change
    card_file.write_text(yaml.safe_dump(fields))
    with pytest.raises(ModelCardError, match=message):
        load_card(card_file).read()


@pytest.mark.parametrize("text", ["", "- a list", "a: [unclosed", "\x00"])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(ModelCardError, match=r"card\.yaml"):
        load_card(tmp_path / "card.yaml")
    with pytest.raises(ModelCardError, match=r"no model card .*other\.yaml; cards in that folder: card"):
        load_card(tmp_path / "other.yaml")


def test_a_model_that_the_server_refuses_is_named(client: redis.Redis, card_file: Path) -> None:
    (card_file.parent / "nanodet-g-two-sizes.onnx").write_bytes(b"no model")
    fields = yaml.safe_load(card_file.read_text()) | {"sha256": hashlib.sha256(b"no model").hexdigest()}
    card_file.write_text(yaml.safe_dump(fields))
    with pytest.raises(ModelError, match=r"AI\.MODELSTORE model:nanodet-g-two-sizes ONNX"):
        provision(client, model=str(card_file))


def test_a_gear_that_raises_shows_its_own_traceback(client: redis.Redis) -> None:
    with pytest.raises(GearError, match=r'"<string>", line 2, in <module>\nZeroDivisionError: division by zero$'):
        register_gear(client, "x = 1\n1 / 0", session="broken")
    with pytest.raises(GearError, match="execution is not registered"):
        unregister_gear(client, "nothing")
    assert readable_error("plain") == "plain"
    assert readable_error("['cut") == "['cut"
