"""Values that are stored and deleted at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import redis

from tests.edge.ai import onnx_files


def test_a_key_that_comes_and_goes_never_holds_something_else(client: redis.Redis) -> None:
    model = onnx_files.binary("Add")

    def attempts(*commands: tuple[object, ...]) -> set[str]:
        errors = set()
        for _ in range(150):
            for command in commands:
                try:
                    client.execute_command(*command)
                except redis.ResponseError as error:
                    errors.add(str(error))
        return errors

    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(attempts, ("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", model), ("AI.MODELDEL", "m")),
            pool.submit(attempts, ("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", model), ("DEL", "m")),
            pool.submit(attempts, ("AI.MODELGET", "m", "META"), ("AI.MODELDEL", "m")),
            pool.submit(attempts, ("AI.MODELGET", "m", "META"), ("DEL", "m")),
        ]
        errors = set().union(*(future.result() for future in futures))
    assert errors <= {"model key is empty"}
