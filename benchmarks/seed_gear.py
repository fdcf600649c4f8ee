"""The method of the original showcase as a gear, for comparison with `gears/people_counter.py`.

PIL decodes, the letterbox is float32, the tensor has the full size of the model in floats, Python removes overlapping
boxes, and each sample is a separate `TS.ADD`. The bundled model needs uint8, so the tensor is converted at the end.
"""

import io
import json
import time

import numpy as np
import redisAI
from PIL import Image

SIZE = 448
CONFIDENCE, IOU = 0.50, 0.55
MODEL = "model:nanodet-g-two-sizes"


def letterbox(image):
    ratio = SIZE / max(image.size)
    width, height = (int(edge * ratio) for edge in image.size)
    canvas = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    left, top = (SIZE - width) // 2, (SIZE - height) // 2
    resized = np.asarray(image.resize((width, height), Image.BILINEAR), np.float32) / 255.0
    canvas[top : top + height, left : left + width] = resized
    return canvas, ratio, left, top


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def suppress(boxes, scores):
    kept = []
    for score, box in sorted(zip(scores.tolist(), boxes.tolist(), strict=True), reverse=True):
        if score >= CONFIDENCE and all(overlap(box, other) <= IOU for other in kept):
            kept.append(box)
    return kept


def count(record):
    began = time.perf_counter()
    image = Image.open(io.BytesIO(record["value"]["image"])).convert("RGB")
    marks = [began, time.perf_counter()]
    canvas, ratio, left, top = letterbox(image)
    tensor = redisAI.createTensorFromBlob("FLOAT", [1, SIZE, SIZE, 3], canvas.tobytes())
    marks.append(time.perf_counter())
    floats = np.frombuffer(redisAI.tensorGetDataAsBlob(tensor), np.float32).reshape(1, SIZE, SIZE, 3)
    pixels = np.ascontiguousarray(np.rint(floats[..., ::-1] * 255).astype(np.uint8))
    runner = redisAI.createModelRunner(MODEL)
    redisAI.modelRunnerAddInput(runner, "image", redisAI.createTensorFromBlob("UINT8", pixels.shape, pixels.tobytes()))
    redisAI.modelRunnerAddOutput(runner, "boxes")
    redisAI.modelRunnerAddOutput(runner, "scores")
    outputs = redisAI.modelRunnerRun(runner)
    marks.append(time.perf_counter())
    boxes, scores = (
        np.array(redisAI.tensorToFlatList(each), np.float32).reshape(redisAI.tensorGetDims(each))[0] for each in outputs
    )
    kept = suppress(boxes, scores[:, 0])
    marks.append(time.perf_counter())
    edges = [int((edge - (left, top)[index % 2]) / ratio) for box in kept for index, edge in enumerate(box)]
    marks.append(time.perf_counter())
    steps = zip(("read", "resize", "model", "script", "boxes"), np.diff(marks) * 1000, strict=True)
    ts = int(record["value"]["ts"])
    execute(  # noqa: F821
        "XADD", record["key"] + ":yolo", "MAXLEN", "~", 1000, "*",
        "ref", record["id"], "ts", ts, "boxes", json.dumps(edges), "people", len(kept),
    )  # fmt: skip
    add(record["key"], "people", ts, len(kept))
    for name in ("in_fps", "out_fps"):
        add(record["key"], name, ts // 1000 * 1000, 1)
    for step, ms in steps:
        add(record["key"], "prf_" + step, ts, float(ms))
    add(record["key"], "prf_total", ts, (time.perf_counter() - began) * 1000)


def add(key, name, ts, value):
    execute("TS.ADD", f"{key}:{name}", ts, value, "ON_DUPLICATE", "LAST")  # noqa: F821


GearsBuilder("StreamReader").foreach(count).register(  # noqa: F821
    "camera:seed", convertToStr=False, collect=False, mode="async_local", trimStream=False
)
