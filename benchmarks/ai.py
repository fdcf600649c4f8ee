"""What AI.MODELEXECUTE costs over the same run in process.

    python -m benchmarks.ai [--runs 100] [--bar-ms 1.5]

The people model, its 0.5 MB image tensor in Redis already, the same backend and threads on both sides, run by run in
turn, so that a noisy machine disturbs both alike. Exits with 1 where the median costs more than the bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import redis

from rededge_nb import assets, settings
from rededge_nb.control.models import load_card, store_model
from rededge_nb.edge import processors, server
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.tensors import Array, Tensor
from rededge_nb.edge.client import check, client_from_url, connection_of, in_transaction, replies_to

BAR_MS = 1.5
WARM_UP = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--bar-ms", type=float, default=BAR_MS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as folder, settings.state_dir_set_to(Path(folder)):
        instance = server.start(Path(folder))
        client = client_from_url(instance.url)
        try:
            figures = measure(client, options.runs)
        finally:
            client.close()
            server.stop(Path(folder))
    cost = figures["cost_ms"]
    sys.stdout.write(json.dumps(figures | {"bar_ms": options.bar_ms, "met": cost <= options.bar_ms}, indent=2) + "\n")
    return 0 if cost <= options.bar_ms else 1


def measure(client: redis.Redis, runs: int) -> dict[str, float]:
    """Medians in milliseconds."""
    card = load_card(assets.model_card_file())
    store_model(client, card)
    image = np.random.default_rng(0).integers(0, 255, (1, *card.input_wh[::-1], 3), np.uint8)
    model = backends.load(
        card.backend, backends.ModelSource(card.read()), device="CPU", threads=processors.default_threads()
    )
    client.execute_command("AI.TENSORSET", "image", "UINT8", *image.shape, "BLOB", image.tobytes())
    words = ("AI.MODELEXECUTE", card.key, "INPUTS", 1, "image", "OUTPUTS", 2, "boxes", "scores")
    pairs: list[tuple[Callable[[], object], list[float]]] = [
        (lambda: model.run([image]), []),
        (lambda: client.execute_command(*words), []),
        (lambda: pipelined(client, image, words), []),
    ]
    moving: list[float] = []
    for number in range(runs + WARM_UP):
        for run, times in pairs:
            began = time.perf_counter()
            run()
            if number >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
        outputs = model.run([image])  # after a run, as a worker comes to it
        began = time.perf_counter()
        moved(client, outputs)
        if number >= WARM_UP:
            moving.append((time.perf_counter() - began) * 1000)
    (_, bare), (_, executed), (_, pipeline) = pairs
    cost = statistics.median(there - here for here, there in zip(bare, executed, strict=True))
    return {
        "in_process_ms": round(statistics.median(bare), 3),
        "modelexecute_ms": round(statistics.median(executed), 3),
        "set_execute_get_ms": round(statistics.median(pipeline), 3),
        "cost_ms": round(cost, 3),
        "moved_ms": round(statistics.median(moving), 3),
    }


def moved(client: redis.Redis, outputs: Sequence[Array | None]) -> None:
    """The same tensors out of Redis and into it, as the fields of hashes, by nothing but a connection."""
    blobs = [Tensor.from_array(output).to_buffer() for output in outputs if output is not None]
    writes = [("HSET", f"moved:{number}", "blob", blob) for number, blob in enumerate(blobs)]
    with connection_of(client) as connection:
        check(replies_to(connection, [("HGET", "image", "blob")]))
        check(replies_to(connection, in_transaction(writes)))


def pipelined(client: redis.Redis, image: np.ndarray, words: tuple[str | int, ...]) -> list[object]:
    """Tensor in, run, tensors out, in one round trip."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("AI.TENSORSET", "image", "UINT8", *image.shape, "BLOB", image.tobytes())
    pipeline.execute_command(*words)
    for key in ("boxes", "scores"):
        pipeline.execute_command("AI.TENSORGET", key, "META", "BLOB")
    return list(pipeline.execute())


if __name__ == "__main__":
    sys.exit(main())
