"""Counts the people in each camera's frames, or what else the model finds: RedisGears 1.2 Python.

For every camera in the set `cameras` it reads the stream `camera:<id>`, finds people in each frame, and follows them
from frame to frame, over the lines and through the zones of `camera:<id>:scene`. It writes `camera:<id>:yolo` (people,
boxes and ids of each frame), `camera:<id>:tracks` (the path of everybody who has left), `camera:<id>:events`
(crossings, and the alarms of the scene's rules, which are in `camera:<id>:alarms` while they are active), the camera's
time series, and `camera:<id>:errors` (frames that could not be processed, with the reason). All that a frame says is
written in one transaction, together with the state in `camera:<id>:tracker`. So a frame that is processed twice counts
once.

The hash `people_counter:settings` says which model to run and how; it is looked at once a second. If its `class` is
not `person`, the gear counts and follows objects of that class in the same way, and writes their number as `count`.
When another class is counted than before, tracks and totals begin again, and the series with the counts of the old
class are set aside under other names.

The model does not run for every live frame. Where nothing moves, people are where they were; where it is busy, they are
where they are expected (`rededge_nb.analytics.looking`). Such an entry has `predicted` 1. When the model has not run
for a second, the newest frame waits for it, and older ones are dropped. So the latency stays low, however fast the
camera is. Frames whose field `keep` is 1 are all looked at.

If no image of a camera may be stored (`boxes_only` in its scene), the capture sends the boxes that it has found in
place of the image. Images that other clients send are counted, and leave the stream in the same transaction.

It imports `rededge_nb.analytics`: a RedisGears of your own needs `REQUIREMENTS rededge_nb`.
"""

import json
import os
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import redisAI

from rededge_nb.analytics import looking
from rededge_nb.analytics.boxes_only import found_people, is_boxes_only
from rededge_nb.analytics.colours import colour_shares
from rededge_nb.analytics.counted import PEOPLE, counted_of
from rededge_nb.analytics.decoding import decode_image, decode_small
from rededge_nb.analytics.detecting import boxes_in_frame, input_image, input_size, suppress, whole_pixels
from rededge_nb.analytics.events import event_commands
from rededge_nb.analytics.looking import Choice, Plan
from rededge_nb.analytics.other_class import keys_that_change, rename_commands
from rededge_nb.analytics.pace import TOO_FEW_FRAMES, Pace
from rededge_nb.analytics.samples import add_command, create_commands, frame_samples
from rededge_nb.analytics.saved_tracker import SavedTracker
from rededge_nb.analytics.scene_counting import count_scene, without_people, without_removed
from rededge_nb.analytics.sides import LEAVES_OUT, Tolerance
from rededge_nb.analytics.tracking import ColourSettings, TrackerSettings


def key_here(name):
    """The key; in a Redis Cluster with a tag that puts it on the shard that this gear runs on."""
    return f"{name}:{{{hashtag()}}}" if "cluster_enabled:1" in execute("INFO", "cluster") else name


DEFAULTS = {
    "model": "model:nanodet-g-two-sizes",
    "width": "512",
    "height": "384",
    "resize": "aspect",
    "multiple": "32",
    "class_id": "0",
    "confidence": "0.5",
    "iou": "0.55",
    "tracking_low": "-0.15",  # this and the next two are added to the confidence
    "tracking_high": "0.05",
    "tracking_new": "0.15",
    "motion_gate": "auto",  # the model runs when something moves; "on": in recordings too, "off": never mind
    "detect_every": "auto",  # the model runs as often as there is time; a number: for every n-th frame
    "different": "0",  # 1: estimate how many different people there were, by the colours of their clothes
}
STEPS = ("read", "resize", "model", "script", "boxes")
SETTINGS_AGE = 1.0
DETECTIONS_KEPT, ERRORS_KEPT = 100000, 1000
TRACKS_KEPT, TRACKS_AGE_MS = 10000, 90 * 24 * 3600 * 1000
QUIET_MS = 60_000  # refused frames are one event until none was refused for this time

settings = {"at": float("-inf"), "values": DEFAULTS}
store_ms = {}


def current_settings():
    now = time.monotonic()
    if now - settings["at"] > SETTINGS_AGE:
        # the keys' names are made each time: in a Redis Cluster, the slot with these keys may move to another shard
        flat = execute("HGETALL", key_here("people_counter:settings"))
        values = dict(zip(flat[::2], flat[1::2], strict=True))
        # the card of an older version has no `resize`
        defaults = {"resize": "stretch"} if "model" in values else {"model": key_here(DEFAULTS["model"])}
        settings.update(at=now, values={**DEFAULTS, **defaults, **values})
    return settings["values"]


def tracker_settings(values, plan, recorded):
    confidence = float(values["confidence"])
    margins = [float(values[f"tracking_{name}"]) for name in ("low", "high", "new")]
    low, high, new = (min(max(confidence + margin, 0), 1) for margin in margins)
    colours = ColourSettings() if values["different"] == "1" else None
    # where the model leaves frames out, two detections and three misses must last as long as more of them otherwise
    times = {} if plan.sees_all(recorded=recorded) else {"confirm_s": 0.2, "coast_s": 0.6}
    return TrackerSettings(low_confidence=low, high_confidence=high, new_confidence=new, colours=colours, **times)


def number_or(text, default):
    try:
        return int(text)
    except (TypeError, ValueError):
        return default


def of_capture(record):
    """What each entry says about the capture that the frame belongs to."""
    value = record["value"]
    return [word for name in ("capture", "captured") if name in value for word in (name, value[name])]


def newer_waits(record):
    # not by the group's lag: entries trimmed unread keep that above 0 for ever
    return bool(execute("XRANGE", record["key"], "(" + record["id"], "+", "COUNT", 1))


def detect(record):
    """Find the people, unless the model need not look or has no time; note the reason if the frame is no image."""
    key, value = record["key"], record["value"]
    record["ts"] = number_or(value.get("ts"), int(record["id"].split("-")[0]))
    if "found" in value:
        return found_by_capture(record)
    marks = [time.perf_counter()]
    values = current_settings()
    runner = redisAI.createModelRunner(values["model"])
    try:
        plan, recorded = Plan(values["motion_gate"], values["detect_every"]), keeps(record)
        tracking = tracker_settings(values, plan, recorded)
        small, record["choice"] = choose(record, plan)
        tolerance = Tolerance() if plan.sees_all(recorded=recorded) else LEAVES_OUT
        record.update(tracking=tracking, tolerance=tolerance, model=values["model"], counted=counted_of(values))
        if record["choice"] != Choice.LOOK:
            record["steps"] = {"read": (time.perf_counter() - marks[0]) * 1000}
            return record
        frame = decode_image(value.get("image"))
        marks.append(time.perf_counter())
        frame_wh, model_wh = frame.shape[1::-1], (int(values["width"]), int(values["height"]))
        size_wh = input_size(frame_wh, model_wh, values["resize"], int(values["multiple"]))
        image = input_image(frame, size_wh)
        marks.append(time.perf_counter())
        tensor = redisAI.createTensorFromBlob("UINT8", [1, *image.shape], image.data)
        redisAI.modelRunnerAddInput(runner, "image", tensor)
        redisAI.modelRunnerAddOutput(runner, "boxes")
        redisAI.modelRunnerAddOutput(runner, "scores")
        boxes, scores = redisAI.modelRunnerRun(runner)
        marks.append(time.perf_counter())
        boxes, scores = as_array(boxes)[0], as_array(scores)[0][:, int(values["class_id"])]
        found = suppress(boxes, scores, tracking.low_confidence, float(values["iou"]))
        marks.append(time.perf_counter())
        found = boxes_in_frame(found, size_wh, frame_wh)
        colours = colour_shares(frame, found) if tracking.colours else None
        detected = int((found[:, 4] >= float(values["confidence"])).sum())
        if plan.uses_motion(recorded=recorded):
            small = decode_small(value.get("image"), frame_wh) if small is None else small
        looking.SHARED.looked(key, record["ts"], time.monotonic(), frame_wh, small, len(found))
        marks.append(time.perf_counter())
    except Exception as error:
        looking.SHARED.forget(key, time.monotonic())
        record["reason"] = f"{type(error).__name__}: {error}"[:1000]
        record["step"] = STEPS[len(marks) - 1]
        return record
    except BaseException:  # the gear was aborted: the model must be free for other cameras
        looking.SHARED.forget(key, time.monotonic())
        raise
    steps = {name: (end - start) * 1000 for name, (start, end) in zip(STEPS, pairwise(marks), strict=True)}
    record.update(found=found.tolist(), detected=detected, colours=colours, frame_wh=frame_wh, steps=steps)
    return record


def keeps(record):
    """Whether every frame is to be processed: that of a recording, as fast as possible."""
    return str(record["value"].get("keep")) == "1"


def choose(record, plan):
    """A small image of the frame if one is needed, and whether the model looks at the frame."""
    key, recorded, small = record["key"], keeps(record), None
    frame_wh = looking.SHARED.frame_wh(key)
    if frame_wh is not None and plan.uses_motion(recorded=recorded):
        small = decode_small(record["value"].get("image"), frame_wh)
        if small is None:
            return None, Choice.LOOK  # it is no image, and this says why
    slots = 1 + (os.cpu_count() or 1) // 2  # one run does not keep all processors busy all the time
    choice = looking.SHARED.choose(
        key,
        record["ts"],
        time.monotonic(),
        plan,
        recorded=recorded,
        slots=slots,
        number=number_or(record["value"].get("count"), 0),
        newer_waits=not recorded and newer_waits(record),
        small=small,
    )
    if choice == Choice.WAIT:
        looking.SHARED.wait_for_model(key, time.monotonic, slots=slots)
        choice = Choice.LOOK
    return small, choice


def found_by_capture(record):
    """Take the boxes from the frame's entry, which has no image: the model of the capture has looked at each frame."""
    try:
        sent = found_people(record["value"])
        tracking = tracker_settings(current_settings(), Plan(every="1"), True)
        record.update(choice=Choice.LOOK, tracking=tracking, tolerance=Tolerance(), counted=sent.counted)
        record.update(model=sent.model, steps=dict(sent.steps))
        record.update(detected=sent.detected, colours=sent.colours, frame_wh=sent.frame_wh)
        record.update(found=sent.found.tolist())
        looking.SHARED.looked(record["key"], record["ts"], time.monotonic(), sent.frame_wh, None, len(sent.found))
    except Exception as error:
        record["reason"] = f"{type(error).__name__}: {error}"[:1000]
        record["step"] = "boxes"
    return record


def as_array(tensor):
    return np.frombuffer(redisAI.tensorGetDataAsBlob(tensor), np.float32).reshape(redisAI.tensorGetDims(tensor))


def store(record):
    """Write all that a frame says; before the first frame in which another class is counted, begin again."""
    while not is_stored(record):
        begin_other_class(record)


def is_stored(record):
    """Write all that a frame says in one transaction, unless that was done before; not if another class was counted.

    A worker that died may have written a frame without acknowledging it, and one that was stopped for a while may hold
    a frame that another worker has processed meanwhile.
    """
    began = time.perf_counter()
    key, ts = record["key"], record["ts"]
    if record.get("choice") in (Choice.STILL, Choice.BETWEEN):
        record = looked_at_again(record)
    with atomic():
        tracker, scene = execute("MGET", key + ":tracker", key + ":scene")
        saved = SavedTracker.from_text(tracker)
        no_images = is_boxes_only(scene)
        # the ids of a stream that was deleted and made again may be smaller; one without images may have lost its end
        if saved.has(record["id"]) and (no_images or execute("XRANGE", key, saved.ref, "+", "COUNT", 1)):
            return True
        if counts_other_class(record, saved):
            return False
        saved.counted = record["counted"].name if "counted" in record else saved.counted
        removed = execute("HGETALL", key + ":removed")  # by a capture that counts a recording again
        if removed:
            forget_removed(saved, dict(zip(removed[::2], removed[1::2], strict=True)))
        samples = frame_samples(ts, {"in_fps": 1})
        if record.get("choice", Choice.DROP) != Choice.DROP and "reason" not in record:
            samples += follow(record, saved, scene)
        else:
            saved.pace.not_looked()
        if "reason" in record:
            words = ("ref", record["id"], "ts", ts, "reason", record["reason"], "step", record["step"])
            note_refused(record, saved)
            execute("XADD", key + ":errors", "MAXLEN", "~", ERRORS_KEPT, "*", *words, *of_capture(record))
        if removed:
            execute("DEL", key + ":removed")
        if no_images and "image" in record["value"]:
            execute("XTRIM", key, "MINID", id_after(record["id"]))
        execute("SET", key + ":tracker", saved_text(record, saved))
        replies = execute(*add_command(key, samples))
    if no_images and "image" not in record["value"]:
        remove_images_before(record)
    looking.SHARED.stored(key, record["id"], ts)
    add_missing(record, samples, replies)
    if "found" in record:
        store_ms[key] = round((time.perf_counter() - began) * 1000, 3)
    if "reason" in record or saved.problem:
        log(f"{key} {record['id']}: {record.get('reason', saved.problem)}", "warning")
    return True


def counts_other_class(record, saved):
    return bool(saved.ref) and "counted" in record and record["counted"].name != saved.counted


def begin_other_class(record):
    """Forget who is in view, and the totals; set aside the series of the class that was counted.

    In a transaction of its own, because the frame's transaction must know which series there are afterwards.
    """
    key, new = record["key"], record["counted"].name
    old = SavedTracker.from_text(execute("GET", key + ":tracker")).counted
    keys = execute("TS.QUERYINDEX", "camera=" + key.split(":", 1)[1])
    renamed = keys_that_change(key, keys, old, new)
    labels = {each: labels_of(each) for each in renamed}
    with atomic():
        saved = SavedTracker.from_text(execute("GET", key + ":tracker"))
        if not counts_other_class(record, saved) or saved.counted != old:
            return
        for each, to in renamed.items():
            for command in rename_commands(each, to, labels[each], old):
                execute(*command)
        begun = SavedTracker(saved.ref, refused_ms=saved.refused_ms, counted=new)
        execute("SET", key + ":tracker", begun.to_text())
        execute("DEL", key + ":removed")
    looking.SHARED.forget(key, time.monotonic())
    log(f"{key}: {new} is counted from now on; the counts of {old} are in the series {key}:was:*")


def labels_of(series):
    info = execute("TS.INFO", series)
    return {str(name): str(value) for name, value in info[info.index("labels") + 1]}


def forget_removed(saved, removed):
    """Take out of tracker and totals what was deleted from the series because its recording is counted again."""
    if removed.pop("forget", None):
        saved.state, saved.counting, saved.pace = None, without_people(saved.counting), Pace()
    saved.counting = without_removed(saved.counting, removed)


def id_after(entry_id):
    milliseconds, number = entry_id.split("-")
    return f"{milliseconds}-{int(number) + 1}"


def remove_images_before(record):
    """Take the images out of the stream that are older than a frame without image: from before a change of the scene.

    Not in the frame's transaction, which a capture would interrupt by adding a frame to the stream.
    """
    oldest = execute("XRANGE", record["key"], "-", record["id"], "COUNT", 1)
    if oldest and "image" in oldest[0][1][::2]:
        execute("XTRIM", record["key"], "MINID", record["id"])


def saved_text(record, saved):
    refused_ms = saved.refused_ms if int(time.time() * 1000) - saved.refused_ms < QUIET_MS else 0
    return replace(saved, ref=record["id"], refused_ms=refused_ms).to_text()


def note_refused(record, saved):
    """Write an event for the first of the frames that cannot be processed."""
    now_ms = int(time.time() * 1000)
    if now_ms - saved.refused_ms >= QUIET_MS:
        event = {"kind": "frames_refused", "severity": "warning", "ts": record["ts"], "reason": record["reason"]}
        for command in commands_for_events(record, [event]):
            execute(*command)
    saved.refused_ms = now_ms


def commands_for_events(record, events):
    """The commands that write events. Only reads may come before, as it reads the id of the newest event."""
    if not events:
        return []
    newest = execute("XREVRANGE", record["key"] + ":events", "+", "-", "COUNT", 1)
    last = str(newest[0][0]) if newest else ""
    what = record["counted"].fields if "counted" in record else {}
    events = [{**event, **what, "ref": record["id"]} for event in events]
    return event_commands(record["key"], events, last, int(time.time() * 1000))


def lost_alarms(key, ts):
    """The events that clear alarms of rules whose state was lost: the tracker was deleted, or damaged."""
    found = execute("HGETALL", key + ":alarms")
    active = [json.loads(text) for text in found[1::2]]
    words = {"kind": "alarm_cleared", "ts": ts, "reason": "restarted"}
    kept = ("severity", "alarm", "rule", "condition")
    return [
        {**words, **{name: alarm[name] for name in kept if name in alarm}}
        for alarm in active
        if alarm.get("kind") == "alarm_raised"
    ]


def follow(record, saved, scene):
    """Follow the people from the frame before, and count them at lines and in zones. Returns the frame's samples."""
    key, ts, steps = record["key"], record["ts"], record["steps"]
    tracker = saved.tracker(record["tracking"], lambda: int(execute("GET", key + ":last_track") or 0))
    if record["choice"] != Choice.LOOK and tracker.last_ms is None:
        looking.SHARED.forget(key, time.monotonic())  # the tracks were lost, so the model must look first
        return []
    began = time.perf_counter()
    followed = tracker.follows
    result = result_of(record, tracker)
    too_few = note_pace(record, saved.pace, followed=followed, moved=tracker.moved)
    told = [saved.pace.event(ts, record["counted"])] if too_few and saved.pace.tells(ts) else []
    frame_wh = looking.SHARED.frame_wh(key)
    people, ended = result.people, [track.id for track in result.finished]
    counted = count_scene(key, scene, saved.counting, people, ts, frame_wh, ended, record["tolerance"])
    saved.state, saved.counting = tracker.to_state(), counted.saved
    saved.problem = saved.problem or counted.problem
    missing = [name for name in counted.new_series if not execute("EXISTS", f"{key}:{name}")]  # reads before writes
    lost = lost_alarms(key, ts) if counted.rules_begin else []
    event_writes = commands_for_events(record, [*lost, *counted.events, *told])
    for command in (
        *(command for name in missing for command in create_commands(key, name, record["counted"])),
        *event_writes,
    ):
        execute(*command)
    boxes = whole_pixels([person.box for person in people], frame_wh)
    steps["boxes"] = steps.get("boxes", 0) + (time.perf_counter() - began) * 1000
    elapsed = sum(steps.values())
    what = [word for pair in record["counted"].fields.items() for word in pair]
    execute(
        "XADD", key + ":yolo", "MAXLEN", "~", DETECTIONS_KEPT, "*",
        "ref", record["id"],
        "ts", ts,
        "boxes", json.dumps(boxes.ravel().tolist()),
        record["counted"].series, len(people),
        "confidence", json.dumps([round(person.confidence, 3) for person in people]),
        "tracks", json.dumps([person.id for person in people]),
        "since", json.dumps([person.first_ms for person in people]),
        "model", record["model"],
        "ms", round(elapsed, 3),
        "predicted", int("found" not in record),  # always: Grafana needs the same fields in each entry
        *counted.fields,
        *what,
        *of_capture(record),
    )  # fmt: skip
    for track in result.finished:
        words = (
            "track",
            track.id,
            "first",
            track.first_ms,
            "last",
            track.last_ms,
            "path",
            json.dumps(track.path),
            *what,
        )
        execute("XADD", key + ":tracks", "MAXLEN", "~", TRACKS_KEPT, "*", *words, *counted.tracks.get(track.id, ()))
        execute("XTRIM", key + ":tracks", "MINID", "~", int(time.time() * 1000) - TRACKS_AGE_MS)
    if result.seen:
        execute("SET", key + ":last_track", result.seen[-1])
    looked = "found" in record
    values = {record["counted"].series: len(people), "seen": len(result.seen), "out_fps": 1, "looked_fps": int(looked)}
    values.update({} if result.different is None else {"different": result.different})
    # the frames of a recording have its times in `ts`, and `captured` is when they were read
    captured = number_or(record["value"].get("captured"), record["ts"])
    values.update({TOO_FEW_FRAMES: round(saved.pace.fps, 3)} if too_few else {})
    values.update(latency=max(0, time.time() * 1000 - captured))
    if looked:
        values.update(detected=record["detected"])
        values.update(("prf_" + step, round(ms, 3)) for step, ms in steps.items())
        # a write cannot hold its own duration: this is that of the frame before
        values.update({"prf_store": store_ms[key]} if key in store_ms else {})
        values["prf_total"] = round(elapsed + store_ms.get(key, 0), 3)
    return [*frame_samples(ts, values), *counted.samples]


def looked_at_again(record):
    """The record; the model looks at the frame if the tracks are not those that this worker remembers."""
    key = record["key"]
    if looking.SHARED.continues(key, SavedTracker.from_text(execute("GET", key + ":tracker")).ref):
        return record
    looking.SHARED.forget(key, time.monotonic())
    return detect(record)


def result_of(record, tracker):
    """What the tracker says about a frame."""
    key, ts, choice = record["key"], record["ts"], record["choice"]
    if choice == Choice.LOOK:
        result = tracker.step(record["found"], ts, record["frame_wh"], record["colours"])
        looking.SHARED.followed(key, len(result.people), unsettled=tracker.unsettled)
        return result
    return tracker.still(ts) if choice == Choice.STILL else tracker.expected(ts)


def note_pace(record, pace, *, followed, moved):
    """Note how often the model looks. Returns whether people move, and it looks too rarely to follow them."""
    if record["choice"] == Choice.LOOK:
        return pace.looked(record["ts"], followed=followed, moved=moved)
    if record["choice"] == Choice.STILL:
        pace.still()
    else:
        pace.not_looked()
    return False


def add_missing(record, samples, replies):
    """Make the series that a camera did not have, and add what was meant for them."""
    key, counted = record["key"], record.get("counted", PEOPLE)
    for sample, reply in zip(samples, replies, strict=True):
        if isinstance(reply, int):
            continue
        # RedisTimeSeries has one text for a key that is missing and for one of another type
        if execute("EXISTS", f"{key}:{sample.series}"):
            log(f"{key}:{sample.series} at {sample.at_ms}: {reply}", "warning")
            continue
        for command in create_commands(key, sample.series, counted):
            if command[0] != "TS.CREATE" or not execute("EXISTS", command[1]):
                execute(*command)
        execute(*add_command(key, [sample]))


for camera in execute("SMEMBERS", key_here("cameras")):
    builder = GearsBuilder("StreamReader", desc="counts the people in camera " + camera)
    builder.map(detect).foreach(store)
    builder.register(
        "camera:" + camera,
        convertToStr=False,
        collect=False,
        mode="async_local",
        trimStream=False,  # the frames are for viewers too; the capture bounds their stream
        onFailedPolicy="retry",  # what is left to fail is a missing model or Redis itself: no frame is lost to that
        onFailedRetryInterval=1,
    )
