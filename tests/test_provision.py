"""`rededge init`: what it makes, that twice changes nothing, that an edit upgrades; and the model cards it reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redis
import yaml

from rededge_nb import assets, schema
from rededge_nb.errors import GearError, ModelCardError, ModelError
from rededge_nb.gears import list_registrations, readable_error, register_gear, unregister_gear
from rededge_nb.models import list_models, load_card, remove_model, stored_model
from rededge_nb.provision import known_cameras, provision, read_settings


def test_twice_changes_nothing(client: redis.Redis) -> None:
    changes = provision(client)
    assert changes[:2] == [
        "stored model nanodet-g-416 as model:nanodet-g-416",
        "made 20 series and 9 compaction rules for camera 0",
    ]
    assert changes[-1] == "registered gear people_counter for camera:0"
    before = list_registrations(client)
    assert provision(client) == []
    assert list_registrations(client) == before
    assert [model.key for model in list_models(client)] == ["model:nanodet-g-416"]
    rules = client.execute_command("TS.INFO", "camera:0:people")
    buckets = {rule[1] for rule in rules[rules.index(b"rules") + 1]}
    assert buckets == {60_000, 300_000, 900_000}, "milliseconds"


def test_a_new_camera_joins_those_there_are(client: redis.Redis) -> None:
    provision(client)
    changes = provision(client, cameras=["desk"])
    assert any("camera:0, camera:desk" in change for change in changes)
    assert known_cameras(client) == ["0", "desk"]
    assert {found.stream for found in list_registrations(client)} == {"camera:0", "camera:desk"}


def test_an_edited_gear_is_upgraded(client: redis.Redis, tmp_path: Path) -> None:
    provision(client)
    (before,) = list_registrations(client)
    edited = tmp_path / "people_counter.py"
    edited.write_text(assets.gear_file().read_text() + "\n# edited\n")
    assert provision(client, gear=str(edited)) == ["upgraded gear people_counter for camera:0"]
    (after,) = list_registrations(client)
    assert after.id != before.id


def test_thresholds_that_a_user_set_stay_until_the_model_changes(client: redis.Redis) -> None:
    provision(client)
    client.hset(schema.GEAR_SETTINGS_KEY, "confidence", "0.6")
    assert provision(client) == []
    assert read_settings(client)["confidence"] == "0.6"
    client.hset(schema.GEAR_SETTINGS_KEY, "model_tag", "an-older-model@000")
    provision(client)
    assert read_settings(client)["confidence"] == "0.4"


def test_a_model_that_is_gone_is_stored_again(client: redis.Redis) -> None:
    provision(client)
    remove_model(client, "model:nanodet-g-416")
    assert stored_model(client, "model:nanodet-g-416") is None
    assert provision(client) == ["stored model nanodet-g-416 as model:nanodet-g-416"]
    with pytest.raises(ModelError, match=r"AI\.MODELDEL nothing: model key is empty"):
        remove_model(client, "nothing")


@pytest.fixture
def card_file(tmp_path: Path) -> Path:
    shutil.copy(assets.folder("models") / "nanodet-g-416.onnx", tmp_path)
    shutil.copy(assets.model_card_file(), tmp_path)
    return tmp_path / "nanodet-g-416.yaml"


def test_the_bundled_card_is_true(card_file: Path) -> None:
    card = load_card(card_file)
    assert (card.input_wh, card.class_id, card.classes[0], len(card.classes)) == ((416, 416), 0, "person", 80)
    assert card.licence == "Apache-2.0"
    assert len(card.read()) == 7_670_604


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "has sha256 1f5398e6.*card says 000"),
        ({"file": "gone.onnx"}, "gone.onnx of card 'nanodet-g-416' cannot be read"),
        ({"counting": {}}, "lacks or misspells a field .*class_id"),
        ({"input": None}, "lacks or misspells a field"),
        ({"classes": 3}, "lacks or misspells a field"),
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
    import hashlib

    (card_file.parent / "nanodet-g-416.onnx").write_bytes(b"no model")
    fields = yaml.safe_load(card_file.read_text()) | {"sha256": hashlib.sha256(b"no model").hexdigest()}
    card_file.write_text(yaml.safe_dump(fields))
    with pytest.raises(ModelError, match=r"AI\.MODELSTORE model:nanodet-g-416 ONNX"):
        provision(client, model=str(card_file))


def test_a_gear_that_raises_shows_its_own_traceback(client: redis.Redis) -> None:
    with pytest.raises(GearError, match=r'"<string>", line 2, in <module>\nZeroDivisionError: division by zero$'):
        register_gear(client, "x = 1\n1 / 0", session="broken")
    with pytest.raises(GearError, match="execution is not registered"):
        unregister_gear(client, "nothing")
    assert readable_error("plain") == "plain"
    assert readable_error("['cut") == "['cut"
