from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from rededge_nb.edge.ai.execution import batches, queues
from rededge_nb.edge.ai.execution.batches import Batching, Inputs, Outputs
from rededge_nb.edge.ai.execution.queues import Job, Queues, TimedOutError, next_batch
from rededge_nb.edge.switchboard.calls import CommandError
from tests.waiting import wait_for

PATIENCE = 20.0


def echo(runs: Sequence[Inputs]) -> list[Outputs]:
    return [list(inputs) for inputs in runs]


def job(samples: int = 1, *, group: str | None = "m", at: float = 0.0, **batching: float) -> Job:
    return Job("CPU", echo, [], group=group, samples=samples, batching=Batching(**batching), queued_at=at)  # type: ignore[arg-type]


def taken(waiting: list[Job], now: float = 0.0) -> list[int]:
    return [waiting.index(each) for each in next_batch(waiting, now)]


@pytest.mark.parametrize(
    ("samples", "size", "expected"),
    [([1, 1, 1], 2, [0, 1]), ([1, 2, 1], 2, [0, 1]), ([1, 1], 9, [0, 1]), ([5, 1], 4, [0]), ([4, 1], 4, [0])],
)
def test_runs_are_joined_until_there_are_enough_samples(samples: list[int], size: int, expected: list[int]) -> None:
    assert taken([job(count, size=size) for count in samples]) == expected


def test_only_runs_of_one_group_are_joined() -> None:
    waiting = [job(group="a", size=4), job(group="b", size=4), job(group=None), job(group="a", size=4)]
    assert taken(waiting) == [0, 3]
    assert taken(waiting[1:]) == [0]
    assert taken(waiting[2:]) == [0]


def test_a_group_with_too_few_samples_waits_and_others_run_first() -> None:
    held = job(size=4, min_samples=3)
    assert taken([held]) == []
    assert taken([held, job(group="b", size=4)]) == [1]
    assert taken([held, job(2, size=4, min_samples=3)]) == [0, 1]


def test_a_batch_waits_for_min_samples_above_its_size() -> None:
    waiting = [job(size=2, min_samples=5) for _ in range(6)]
    assert taken(waiting[:4]) == []
    assert taken(waiting) == [0, 1, 2, 3, 4]


def test_a_run_that_fills_a_batch_does_not_wait_for_others() -> None:
    assert taken([job(2, size=2, min_samples=5)]) == [0]
    assert taken([job(1, size=2, min_samples=5), job(3, size=2, min_samples=5)]) == [1]


def test_after_max_wait_a_batch_runs_with_too_few_samples() -> None:
    waiting = [job(size=4, min_samples=3, max_wait=1.0, at=10.0), job(size=4, min_samples=3, max_wait=1.0, at=10.9)]
    assert taken(waiting, 10.9) == []
    assert taken(waiting, 11.0) == [0, 1]


def test_jobs_of_one_device_run_in_order_and_devices_side_by_side() -> None:
    at_work, go, done = threading.Event(), threading.Event(), []

    def wait(runs: Sequence[Inputs]) -> list[Outputs]:
        at_work.set()
        assert go.wait(PATIENCE)
        done.append("waited")
        return echo(runs)

    def note(runs: Sequence[Inputs]) -> list[Outputs]:
        done.append("noted")
        return echo(runs)

    queues_ = Queues()
    first = queues_.submit(Job("CPU", wait, []))
    assert at_work.wait(PATIENCE)
    second = queues_.submit(Job("CPU", note, []))
    assert queues_.submit(Job("CPU:1", echo, [np.ones(1)])).result(PATIENCE) == [1]
    assert not second.done()
    go.set()
    assert [first.result(PATIENCE), second.result(PATIENCE)] == [[], []]
    assert done == ["waited", "noted"]


def test_a_job_that_waits_too_long_is_not_run() -> None:
    at_work, go = threading.Event(), threading.Event()

    def wait(runs: Sequence[Inputs]) -> list[Outputs]:
        at_work.set()
        assert go.wait(PATIENCE)
        return echo(runs)

    queues_ = Queues()
    queues_.submit(Job("CPU", wait, []))
    assert at_work.wait(PATIENCE)
    late = queues_.submit(Job("CPU", echo, [], timeout=0.0))
    go.set()
    with pytest.raises(TimedOutError):
        late.result(PATIENCE)


def test_a_job_that_waits_for_its_batch_times_out() -> None:
    held = Job("CPU", echo, [], timeout=0.05, group="m", batching=Batching(size=4, min_samples=3))
    with pytest.raises(TimedOutError):
        Queues().submit(held).result(PATIENCE)


def test_all_jobs_of_a_batch_get_its_error_and_the_device_continues() -> None:
    def fail(runs: Sequence[Inputs]) -> list[Outputs]:
        raise CommandError("no")

    queues_ = Queues()
    options = {"group": "m", "batching": Batching(size=2, min_samples=2)}
    futures = [queues_.submit(Job("CPU", fail, [], **options)) for _ in range(2)]
    for future in futures:
        with pytest.raises(CommandError, match=r"^no$"):
            future.result(PATIENCE)
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []


def test_before_is_called_only_for_a_job_that_runs_alone() -> None:
    prepared: list[int] = []
    queues_ = Queues()
    for count in (2, 1):
        batching = Batching(size=count, min_samples=count)
        jobs = [Job("CPU", echo, [], group=f"m{count}", batching=batching) for _ in range(count)]
        for each in jobs:
            each.before = lambda count=count: prepared.append(count)
        for future in [queues_.submit(each) for each in jobs]:
            future.result(PATIENCE)
    assert prepared == [1]


@pytest.mark.parametrize("error", [KeyError("k"), SystemExit(3), None])
def test_a_device_continues_after_any_error(error: BaseException | None) -> None:
    def run(runs: Sequence[Inputs]) -> list[Outputs]:
        if error is not None:
            raise error
        return []  # a result too few

    queues_ = Queues()
    with pytest.raises((KeyError, CommandError, ValueError)):
        queues_.submit(Job("CPU", run, [])).result(PATIENCE)
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []


def test_the_next_job_starts_the_thread_that_could_not_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    queues_ = Queues()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            queues_.submit(Job("CPU", echo, []))
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []


def test_a_cancelled_job_is_not_run() -> None:
    at_work, go, done = threading.Event(), threading.Event(), []

    def wait(runs: Sequence[Inputs]) -> list[Outputs]:
        at_work.set()
        assert go.wait(PATIENCE)
        return echo(runs)

    def note(runs: Sequence[Inputs]) -> list[Outputs]:
        done.append("noted")
        return echo(runs)

    queues_ = Queues()
    queues_.submit(Job("CPU", wait, []))
    assert at_work.wait(PATIENCE)
    assert queues_.submit(Job("CPU", note, [])).cancel()
    go.set()
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []
    assert done == []


def test_a_full_queue_refuses_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MAX_WAITING", 2)
    queues_ = Queues()
    for _ in range(2):
        queues_.submit(Job("CPU", echo, [], timeout=0.2, group="m", batching=Batching(size=9, min_samples=9)))
    with pytest.raises(CommandError, match=r"^BUSYWORKER 2 runs wait for CPU already$"):
        queues_.submit(Job("CPU", echo, []))


def test_an_idle_thread_ends_and_the_next_job_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "IDLE_TIMEOUT", 0.0)
    queues_ = Queues()
    for _ in range(3):
        assert queues_.submit(Job("CPU:77", echo, [])).result(PATIENCE) == []
        wait_for(
            lambda: not [each for each in threading.enumerate() if each.name == "ai-CPU:77"],
            what="the end of the thread",
        )


def test_inputs_are_joined_and_outputs_split() -> None:
    runs = [[np.full((count, 2), count), np.zeros((count, 1))] for count in (1, 2)]
    left, right = batches.join(runs)
    assert left.tolist() == [[1, 1], [2, 2], [2, 2]]
    assert right.shape == (3, 1)
    first, second = batches.split([left, None], [1, 2], "ONNX")
    assert [first[0].tolist(), first[1], second[0].tolist()] == [[[1, 1]], None, [[2, 2], [2, 2]]]


@pytest.mark.parametrize(
    ("backend", "error"),
    [
        ("ONNX", "ERR Model did not generate the expected batch size"),
        ("TF", "ERR Tensorflow batching error: model did not generate the expected batch size"),
    ],
)
@pytest.mark.parametrize("output", [np.zeros((2, 3)), np.zeros(())])
def test_an_output_of_another_size_cannot_be_split(backend: str, error: str, output: np.ndarray) -> None:
    with pytest.raises(CommandError) as caught:
        batches.split([output], [1, 2], backend)
    assert str(caught.value) == error


def test_inputs_of_the_same_layout_can_be_joined() -> None:
    assert batches.sample_count([np.zeros((3, 1)), np.zeros((3, 2))]) == 3
    assert batches.sample_count([np.zeros((3, 1)), np.zeros((2, 1))]) is None
    assert batches.sample_count([np.zeros(())]) is None
    assert batches.layout_of([np.zeros((3, 2))]) == batches.layout_of([np.zeros((9, 2))])
    assert batches.layout_of([np.zeros((3, 2))]) != batches.layout_of([np.zeros((3, 1))])
    assert batches.layout_of([np.zeros((3, 2))]) != batches.layout_of([np.zeros((3, 2), np.float32)])
