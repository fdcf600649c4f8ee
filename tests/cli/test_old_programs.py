"""The five programs of the original showcase in short, on `rededge up --no-password`: none of them sends a password."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.edge.server.state import StateFolder
from tests.cli.running import rededge
from tests.edge.ai import onnx_files
from tests.waiting import wait_for

FRAMES = 12
CONNECT = "import sys\nimport redis\nconn = redis.Redis(host='127.0.0.1', port=int(sys.argv[1]))\n"
INIT = """
with open(sys.argv[2], 'rb') as f:
    model = f.read()
print(conn.execute_command('AI.MODELSET', 'yolo:model', 'ONNX', 'CPU', model))
pipe = conn.pipeline()
pipe.execute_command('TS.CREATE', 'camera:0:people')
for name in ('in_fps', 'out_fps'):
    pipe.execute_command('TS.CREATE', 'camera:0:' + name)
pipe.execute()
with open(sys.argv[3], 'rb') as f:
    print(conn.execute_command('RG.PYEXECUTE', f.read()))
"""
GEAR = """
import cv2
import redisAI
import numpy as np
from redisgears import executeCommand as execute

def downsampleStream(x):
    execute('TS.INCRBY', 'camera:0:in_fps', 1, 'RESET', 1)
    return True

def runYolo(x):
    frame = cv2.imdecode(np.frombuffer(x['image'], np.uint8), cv2.IMREAD_COLOR)
    image = cv2.resize(frame, (2, 2)).astype(np.float32) / 256.0
    tensor = redisAI.createTensorFromBlob('FLOAT', [6, 2], bytearray(image.reshape(-1, 2).tobytes()))
    runner = redisAI.createModelRunner('yolo:model')
    redisAI.modelRunnerAddInput(runner, 'a', tensor)
    redisAI.modelRunnerAddInput(runner, 'b', tensor)
    redisAI.modelRunnerAddOutput(runner, 'c')
    output = redisAI.modelRunnerRun(runner)[0]
    shape = redisAI.tensorGetDims(output)
    boxes = np.frombuffer(redisAI.tensorGetDataAsBlob(output), dtype=np.float32).reshape(shape)
    return x['streamId'], len(boxes), [value for box in boxes for value in box]

def storeResults(x):
    execute('XADD', 'camera:0:yolo', 'MAXLEN', '~', 1000, '*', 'ref', x[0], 'boxes', x[2], 'people', x[1])
    execute('TS.ADD', 'camera:0:people', int(x[0].split('-')[0]), x[1])
    execute('TS.INCRBY', 'camera:0:out_fps', 1, 'RESET', 1)

gb = GearsBuilder('StreamReader')
gb.filter(downsampleStream)
gb.map(runYolo)
gb.map(storeResults)
gb.register('camera:0')
"""
CAPTURE = """
with open(sys.argv[2], 'rb') as f:
    jpeg = f.read()
for count in range(int(sys.argv[3])):
    pipe = conn.pipeline()
    entry = f'{(count + 1) * 1000}-0'
    pipe.execute_command('XADD', 'camera:0', 'MAXLEN', '~', 10000, entry, 'count', count, 'image', jpeg)
    pipe.execute()
"""
SERVER = """
import json
[(key, fields)] = conn.xrevrange('camera:0:yolo', count=1)
print(json.dumps([fields[b'ref'].decode(), int(fields[b'people']), json.loads(fields[b'boxes'])]))
"""
TOP = """
pipe = conn.pipeline()
pipe.execute_command('TS.GET', 'camera:0:in_fps')
pipe.execute_command('TS.GET', 'camera:0:out_fps')
print([float(value) for _, value in pipe.execute()])
"""


@pytest.fixture
def port(folder: Path) -> int:
    up = rededge("up", "--dir", folder / "state", "--detach", "--no-password", "--json")
    assert up.returncode == 0, up.stderr
    return int(json.loads(up.stdout)["port"])


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", CONNECT + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_original_programs_run_without_changes(folder: Path, port: int) -> None:
    model, gear, image = folder / "model.onnx", folder / "gear.py", folder / "frame.jpg"
    model.write_bytes(onnx_files.binary("Add"))
    gear.write_text(GEAR)
    assert cv2.imwrite(str(image), np.full((20, 30, 3), 128, np.uint8))
    assert run(INIT, port, model, gear) == "b'OK'\nb'OK'\n"
    run(CAPTURE, port, image, FRAMES)
    with redis.Redis(port=port) as client:
        wait_for(lambda: client.xlen("camera:0:yolo") == FRAMES, what="the boxes of all frames")
        wait_for(lambda: client.xlen("camera:0") == 0, what="the gear to have trimmed the stream")
    assert json.loads(run(SERVER, port)) == [f"{FRAMES * 1000}-0", 6, [1.0] * 12], "boxes stored with str()"
    assert run(TOP, port) == f"[{FRAMES}.0, {FRAMES}.0]\n"
    assert not (StateFolder(folder / "state").path / "failure").exists()
