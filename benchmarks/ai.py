"""What AI.MODELEXECUTE costs above the same run in process, compared with moving its tensors.

The people model, with its image tensor of 0.5 MB in Redis already and the same backend and threads on both sides. Every
run in process is followed by AI.MODELEXECUTE and by a plain transfer of the same tensors, so that a busy machine
affects all.

AI.MODELEXECUTE has to read 0.5 MB of input from Redis and write 1.2 MB of outputs. The bar is a multiple of the time
that this takes over a connection without a worker, because both depend on the machine in the same way.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import redis

from rededge_nb import assets
from rededge_nb.control.models import load_card, store_model
from rededge_nb.edge import processors
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.tensors import Array, Tensor
from rededge_nb.edge.client import check, connection_of, in_transaction, replies_to

MAX_COST = 2.0
"""The bar: cost of AI.MODELEXECUTE, as a multiple of the time that moving its tensors takes."""
WARM_UP = 5


def measure(client: redis.Redis, runs: int) -> dict[str, float]:
    """Medians in milliseconds: of a run in process, of what AI.MODELEXECUTE costs above it, and of the transfer."""
    card = load_card(assets.model_card_file())
    store_model(client, card)
    image = np.random.default_rng(0).integers(0, 255, (1, *card.input_wh[::-1], 3), np.uint8)
    source = backends.ModelSource(card.read())
    model = backends.load(card.backend, source, device="CPU", threads=processors.default_threads())
    client.execute_command("AI.TENSORSET", "image", "UINT8", *image.shape, "BLOB", image.tobytes())
    words = ("AI.MODELEXECUTE", card.key, "INPUTS", 1, "image", "OUTPUTS", 2, "boxes", "scores")
    in_process, executed, transferred = [], [], []
    for _ in range(WARM_UP + runs):
        outputs: list[Array | None] = []
        in_process.append(milliseconds(lambda: outputs.extend(model.run([image]))))  # noqa: B023 - called at once
        executed.append(milliseconds(lambda: client.execute_command(*words)))
        model.run([image])  # a worker transfers tensors after a run, too, when the processor's caches have other data
        transferred.append(milliseconds(lambda: transfer(client, outputs)))  # noqa: B023 - called at once
    cost = [there - here for here, there in zip(in_process, executed, strict=True)]
    return {
        "in_process_ms": statistics.median(in_process[WARM_UP:]),
        "cost_ms": statistics.median(cost[WARM_UP:]),
        "moved_ms": statistics.median(transferred[WARM_UP:]),
    }


def milliseconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


def transfer(client: redis.Redis, outputs: Sequence[Array | None]) -> None:
    """Read the input tensor from Redis and write the outputs, as fields of hashes."""
    blobs = [Tensor.from_array(output).to_buffer() for output in outputs if output is not None]
    writes = [("HSET", f"moved:{number}", "blob", blob) for number, blob in enumerate(blobs)]
    with connection_of(client) as connection:
        check(replies_to(connection, [("HGET", "image", "blob")]))
        check(replies_to(connection, in_transaction(writes)))
