"""Counts the people in each camera's frames: plain RedisGears 1.2 Python.

For every camera in the set `cameras` it reads the stream `camera:<id>` and writes `camera:<id>:yolo` (boxes and count),
the camera's time series, and `camera:<id>:errors` (frames that could not be processed, with the reason).
The hash `people_counter:settings` says which model to run and how; it is looked at once a second.

When frames come faster than they can be processed the newest wins: a frame is dropped when a newer one waits already,
unless its field `keep` is 1. So the latency stays at about two runs of the model, however fast the camera is.
"""

import json
import time
from itertools import pairwise

import cv2
import numpy as np
import redisAI


def key_here(name):
    """The key; in a Redis Cluster with a tag that puts it on the shard that this gear runs on."""
    return f"{name}:{{{hashtag()}}}" if "cluster_enabled:1" in execute("INFO", "cluster") else name


CAMERAS_KEY = key_here("cameras")
SETTINGS_KEY = key_here("people_counter:settings")
DEFAULTS = {
    "model": key_here("model:nanodet-g-416"),
    "width": "416",
    "height": "416",
    "class_id": "0",
    "confidence": "0.40",
    "iou": "0.50",
}
SETTINGS_AGE = 1.0
DETECTIONS_KEPT = 100000
ERRORS_KEPT = 1000
IMAGE_BYTES_MOST = 64 * 1024 * 1024
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

settings = {"at": 0.0, "values": DEFAULTS}
store_ms = {}


def current_settings():
    now = time.monotonic()
    if now - settings["at"] > SETTINGS_AGE:
        flat = execute("HGETALL", SETTINGS_KEY)
        settings["values"] = dict(DEFAULTS, **dict(zip(flat[::2], flat[1::2], strict=True)))
        settings["at"] = now
    return settings["values"]


def camera_of(key):
    return key.split(":", 1)[1]


def number_or(text, default):
    try:
        return int(text)
    except (TypeError, ValueError):
        return default


def captured_ms(record):
    return number_or(record["value"].get("ts"), int(record["id"].split("-")[0]))


def has_time(record):
    """Keep a frame unless a newer one of its camera waits already."""
    record["ts"] = captured_ms(record)
    record["taken"] = time.perf_counter()
    if str(record["value"].get("keep")) == "1" or not newer_waits(record):
        return True
    add_samples(record["key"], record["ts"], {"in_fps": 1})
    return False


def newer_waits(record):
    # not by the group's lag: entries trimmed unread keep that above 0 for ever
    return bool(execute("XRANGE", record["key"], "(" + record["id"], "+", "COUNT", 1))


def detect(record):
    """Find the people; a frame that cannot be processed goes to the errors stream, and the gear goes on."""
    values = current_settings()
    runner = redisAI.createModelRunner(values["model"])
    try:
        frame = decode(record["value"].get("image"))
        marks = [record["taken"], time.perf_counter()]
        size = (int(values["width"]), int(values["height"]))
        resized = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
        marks.append(time.perf_counter())
        tensor = redisAI.createTensorFromBlob("UINT8", [1, size[1], size[0], 3], resized.data)
        redisAI.modelRunnerAddInput(runner, "image", tensor)
        redisAI.modelRunnerAddOutput(runner, "boxes")
        redisAI.modelRunnerAddOutput(runner, "scores")
        boxes, scores = redisAI.modelRunnerRun(runner)
        marks.append(time.perf_counter())
        boxes, scores = as_array(boxes)[0], as_array(scores)[0][:, int(values["class_id"])]
        boxes, scores = suppress(boxes, scores, float(values["confidence"]), float(values["iou"]))
        marks.append(time.perf_counter())
        height, width = frame.shape[:2]
        scale = np.array([width / size[0], height / size[1]] * 2, np.float32)
        corners = np.clip(np.rint(boxes * scale), 0, [width, height] * 2).astype(int)
        marks.append(time.perf_counter())
    except Exception as error:
        refuse(record, error)
        return []
    names = ("read", "resize", "model", "script", "boxes")
    steps = {name: (end - start) * 1000 for name, (start, end) in zip(names, pairwise(marks), strict=True)}
    record.update(boxes=corners, confidence=scores, steps=steps, model=values["model"])
    return [record]


def decode(image):
    if image is None:
        raise ValueError("the entry has no field 'image'")
    if len(image) > IMAGE_BYTES_MOST:
        raise ValueError(f"the picture is too large: {len(image)} bytes, more than {IMAGE_BYTES_MOST}")
    image = image.encode() if isinstance(image, str) else image
    # OpenCV fills the rest of a truncated JPEG with grey, and says nothing
    if image.startswith(JPEG_START) and JPEG_END not in image[-4096:]:
        raise ValueError(f"the JPEG is truncated: it has {len(image)} bytes and no end marker")
    try:
        frame = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) if image else None
    except cv2.error as error:
        if "MAX_IMAGE" in error.err:  # OpenCV looks at a picture's header first, and at OPENCV_IO_MAX_IMAGE_PIXELS
            raise ValueError(f"the picture would be too large: {len(image)} bytes, and {error.err}") from error
        raise
    if frame is None:
        raise ValueError(f"field 'image' is not a picture that can be decoded ({len(image)} bytes)")
    return frame


def as_array(tensor):
    return np.frombuffer(redisAI.tensorGetDataAsBlob(tensor), np.float32).reshape(redisAI.tensorGetDims(tensor))


def suppress(boxes, scores, confidence, iou):
    """Non-maximum suppression: of boxes that overlap, keep the most confident one."""
    sure = scores >= confidence
    boxes, scores = boxes[sure], scores[sure]
    corner_and_size = np.hstack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
    kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), confidence, iou)
    kept = np.array(kept, int).ravel()
    return boxes[kept], scores[kept]


def store(record):
    """Write the detections and every series of the camera in one round trip."""
    began = time.perf_counter()
    key, ts, steps = record["key"], record["ts"], record["steps"]
    people = len(record["boxes"])
    elapsed = sum(steps.values())
    samples = {"people": people, "in_fps": 1, "out_fps": 1, "latency": max(0, time.time() * 1000 - ts)}
    samples.update(("prf_" + step, round(ms, 3)) for step, ms in steps.items())
    if key in store_ms:
        # a write cannot hold its own duration: this is that of the frame before
        samples["prf_store"] = store_ms[key]
    samples["prf_total"] = round(elapsed + store_ms.get(key, 0), 3)
    words = ts_madd(key, ts, samples)
    with atomic():
        execute(
            "XADD", key + ":yolo", "MAXLEN", "~", DETECTIONS_KEPT, "*",
            "ref", record["id"],
            "ts", ts,
            "boxes", json.dumps(record["boxes"].ravel().tolist()),
            "people", people,
            "confidence", json.dumps([round(value, 3) for value in record["confidence"].tolist()]),
            "model", record["model"],
            "ms", round(elapsed, 3),
        )  # fmt: skip
        replies = execute(*words)
    add_missing(key, ts, samples, replies)
    store_ms[key] = round((time.perf_counter() - began) * 1000, 3)


def refuse(record, error):
    """Put a frame that cannot be processed on the errors stream."""
    key = record["key"]
    reason = f"{type(error).__name__}: {error}"[:1000]
    samples = {"in_fps": 1}
    words = ts_madd(key, record["ts"], samples)
    with atomic():
        execute(
            "XADD", key + ":errors", "MAXLEN", "~", ERRORS_KEPT, "*",
            "ref", record["id"], "ts", record["ts"], "reason", reason,
        )  # fmt: skip
        replies = execute(*words)
    add_missing(key, record["ts"], samples, replies)
    log(f"{key} {record['id']}: {reason}", "warning")


def add_samples(key, ts, samples):
    add_missing(key, ts, samples, execute(*ts_madd(key, ts, samples)))


def ts_madd(key, ts, samples):
    words = ["TS.MADD"]
    for name, value in samples.items():
        # frames per second: each frame adds 1 to the sample of its second (duplicate policy SUM)
        at = ts // 1000 * 1000 if name.endswith("_fps") else ts
        words += [f"{key}:{name}", at, value]
    return words


def add_missing(key, ts, samples, replies):
    """Make the series that a camera did not have, and add what was meant for them."""
    missing = {}
    for (name, value), reply in zip(samples.items(), replies, strict=True):
        if isinstance(reply, int):
            continue
        # RedisTimeSeries has one text for a key that is missing and for one of another type
        if execute("EXISTS", f"{key}:{name}"):
            log(f"{key}:{name} at {ts}: {reply}", "warning")
        else:
            policy = "SUM" if name.endswith("_fps") else "LAST"
            labels = ("LABELS", "camera", camera_of(key), "__name__", name)
            execute("TS.CREATE", f"{key}:{name}", "DUPLICATE_POLICY", policy, *labels)
            missing[name] = value
    if missing:
        execute(*ts_madd(key, ts, missing))


for camera in execute("SMEMBERS", CAMERAS_KEY):
    builder = GearsBuilder("StreamReader", desc="counts the people in camera " + camera)
    builder.filter(has_time).flatmap(detect).foreach(store)
    builder.register(
        "camera:" + camera,
        convertToStr=False,
        collect=False,
        mode="async_local",
        trimStream=False,  # the frames are for viewers too; the capture bounds their stream
        onFailedPolicy="retry",  # what is left to fail is a missing model or Redis itself: no frame is lost to that
        onFailedRetryInterval=1,
    )
