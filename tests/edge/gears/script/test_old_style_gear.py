"""A gear and an init script in the style of EdgeRealtimeVideoAnalytics, which was written for RedisGears 0.9.

Flat records, separate statements, `redisgears.executeCommand`, classes and counters at module level, and
TS.INCRBY … RESET 1.
"""

from __future__ import annotations

import importlib.util
import json

import cv2
import numpy as np
import pytest
import redis

from tests.edge.ai import onnx_files
from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

FRAMES = 5

GEAR = """
import io
import json
import time
import cv2
import numpy as np
import redisAI
from redisgears import executeCommand as execute

MAX_FPS = 1000.0
_mspf = 1000.0 / MAX_FPS
_next_ts = 0

class Profiler:
    names = []
    data = {}
    last = None

    def __init__(self):
        self.times = {}

    def start(self):
        self.last = time.time() * 1000

    def add(self, name):
        now = time.time() * 1000
        self.times[name] = now - self.last
        self.last = now

    def items(self):
        return self.times.items()

prf = Profiler()

def downsampleStream(x):
    global _next_ts
    execute('TS.INCRBY', 'camera:0:in_fps', 1, 'RESET', 1)
    ts, _ = map(int, str(x['streamId']).split('-'))
    sample_it = _next_ts <= ts
    if sample_it:
        _next_ts = ts + _mspf
    return sample_it

def runYolo(x):
    prf.start()
    buf = io.BytesIO(x['image'])
    frame = cv2.imdecode(np.frombuffer(buf.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    prf.add('read')
    image = cv2.resize(frame, (2, 2)).astype(np.float32) / 256.0
    prf.add('resize')
    img_ba = bytearray(image.reshape(-1, 2).tobytes())
    image_tensor = redisAI.createTensorFromBlob('FLOAT', [6, 2], img_ba)
    modelRunner = redisAI.createModelRunner('yolo:model')
    redisAI.modelRunnerAddInput(modelRunner, 'a', image_tensor)
    redisAI.modelRunnerAddInput(modelRunner, 'b', image_tensor)
    redisAI.modelRunnerAddOutput(modelRunner, 'c')
    model_replies = redisAI.modelRunnerRun(modelRunner)
    model_output = model_replies[0]
    prf.add('model')
    {script}
    prf.add('script')
    shape = redisAI.tensorGetDims(boxes_tensor)
    buf = redisAI.tensorGetDataAsBlob(boxes_tensor)
    boxes = np.frombuffer(buf, dtype=np.float32).reshape(shape)
    boxes_out = [int(value * 100) for value in boxes[0]]
    people_count = len(boxes)
    prf.add('boxes')
    return x['streamId'], people_count, boxes_out

def storeResults(x):
    ref_id, people, boxes = x[0], int(x[1]), x[2]
    ref_msec = int(str(ref_id).split('-')[0])
    execute('XADD', 'camera:0:yolo', 'MAXLEN', '~', 1000, '*', 'ref', ref_id, 'boxes', boxes, 'people', people)
    execute('TS.ADD', 'camera:0:people', ref_msec, people)
    execute('TS.INCRBY', 'camera:0:out_fps', 1, 'RESET', 1)
    for name, current in prf.items():
        execute('TS.ADD', 'camera:0:prf_' + name, ref_msec, current)
    prf.add('store')

gb = GearsBuilder('StreamReader')
gb.filter(downsampleStream)
gb.map(runYolo)
gb.map(storeResults)
gb.register('camera:0')
"""
PLAIN = "boxes_tensor = model_output"
SCRIPTED = """scriptRunner = redisAI.createScriptRunner('yolo:script', 'boxes_from_tf')
    redisAI.scriptRunnerAddInput(scriptRunner, model_output)
    redisAI.scriptRunnerAddOutput(scriptRunner)
    boxes_tensor = redisAI.scriptRunnerRun(scriptRunner)"""


def initialise(client: redis.Redis, script: str) -> None:
    """The same steps as the init.py of that style."""
    pipe = client.pipeline(transaction=False)
    pipe.execute_command("AI.MODELSTORE", "yolo:model", "ONNX", "CPU", "BLOB", onnx_files.binary("Add"))
    pipe.execute_command("TS.CREATE", "camera:0:people")
    pipe.execute_command("TS.CREATE", "camera:0:people:avg:1m")
    pipe.execute_command("TS.CREATERULE", "camera:0:people", "camera:0:people:avg:1m", "AGGREGATION", "avg", 60)
    for name in ("in_fps", "out_fps", "prf_read", "prf_resize", "prf_model", "prf_script", "prf_boxes", "prf_store"):
        pipe.execute_command("TS.CREATE", f"camera:0:{name}")
    pipe.execute()
    assert execute(client, GEAR.replace("{script}", script)) == b"OK"


@pytest.mark.parametrize("scripted", [False, pytest.param(True, marks=pytest.mark.backends)])
def test_an_old_gear_runs_unchanged(client: redis.Redis, scripted: bool) -> None:
    if scripted:
        if importlib.util.find_spec("torch") is None:
            pytest.skip("pip install 'rededge_nb[torch]'")
        source = "def boxes_from_tf(output):\n    return output * 2\n"
        client.execute_command("AI.SCRIPTSET", "yolo:script", "CPU", source)
    initialise(client, SCRIPTED if scripted else PLAIN)
    ok, jpeg = cv2.imencode(".jpg", np.full((20, 30, 3), 128, np.uint8))
    assert ok
    ids = [client.xadd("camera:0", {"count": n, "image": jpeg.tobytes()}, id=f"{n + 1}000-0") for n in range(FRAMES)]
    wait_for(lambda: client.xlen("camera:0:yolo") == FRAMES, what="every frame's boxes")
    wait_for(lambda: only_registration(client)["data"]["numSuccess"] == FRAMES + 1, what="their acknowledgement")
    found = client.xrange("camera:0:yolo")
    assert [fields[b"ref"] for _, fields in found] == ids
    value = 200 if scripted else 100
    assert json.loads(found[0][1][b"boxes"]) == [value, value]
    assert found[0][1][b"people"] == b"6"
    assert client.ts().range("camera:0:people", "-", "+") == [(1000 * (n + 1), 6.0) for n in range(FRAMES)]
    assert client.ts().get("camera:0:in_fps")[1] == FRAMES
    assert client.ts().info("camera:0:prf_model").total_samples == FRAMES
    assert only_registration(client)["data"]["lastError"] is None
