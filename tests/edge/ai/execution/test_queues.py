from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest

from rededge_nb.edge.ai.commands.runs import or_timed_out
from rededge_nb.edge.ai.execution import batches, queues
from rededge_nb.edge.ai.execution.batches import Batching, Inputs, Outputs
from rededge_nb.edge.ai.execution.queues import Job, Queues, TimedOutError, next_batch, then
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


def test_too_few_samples_are_held_back_and_let_others_pass() -> None:
    held = job(size=4, least=3)
    assert taken([held]) == []
    assert taken([held, job(group="b", size=4)]) == [1]
    assert taken([held, job(2, size=4, least=3)]) == [0, 1]


def test_a_least_number_above_the_size_is_waited_for() -> None:
    waiting = [job(size=2, least=5) for _ in range(6)]
    assert taken(waiting[:4]) == []
    assert taken(waiting) == [0, 1, 2, 3, 4]


def test_a_run_of_the_size_itself_waits_for_no_others() -> None:
    assert taken([job(2, size=2, least=5)]) == [0]
    assert taken([job(1, size=2, least=5), job(3, size=2, least=5)]) == [1]


def test_patience_ends() -> None:
    waiting = [job(size=4, least=3, patience=1.0, at=10.0), job(size=4, least=3, patience=1.0, at=10.9)]
    assert taken(waiting, 10.9) == []
    assert taken(waiting, 11.0) == [0, 1]


def test_jobs_are_done_in_order_and_devices_side_by_side() -> None:
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


def test_a_job_that_waits_too_long_is_not_done() -> None:
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


def test_a_job_that_is_held_back_times_out_by_itself() -> None:
    held = Job("CPU", echo, [], timeout=0.05, group="m", batching=Batching(size=4, least=3))
    with pytest.raises(TimedOutError):
        Queues().submit(held).result(PATIENCE)


def test_a_failure_is_told_to_all_that_were_joined_and_the_device_goes_on() -> None:
    def fail(runs: Sequence[Inputs]) -> list[Outputs]:
        raise CommandError("no")

    queues_ = Queues()
    options = {"group": "m", "batching": Batching(size=2, least=2)}
    futures = [queues_.submit(Job("CPU", fail, [], **options)) for _ in range(2)]
    for future in futures:
        with pytest.raises(CommandError, match=r"^no$"):
            future.result(PATIENCE)
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []


def test_only_a_job_that_is_done_alone_prepares() -> None:
    prepared: list[int] = []
    queues_ = Queues()
    for count in (2, 1):
        batching = Batching(size=count, least=count)
        jobs = [Job("CPU", echo, [], group=f"m{count}", batching=batching) for _ in range(count)]
        for each in jobs:
            each.before = lambda count=count: prepared.append(count)
        for future in [queues_.submit(each) for each in jobs]:
            future.result(PATIENCE)
    assert prepared == [1]


@pytest.mark.parametrize("error", [KeyError("k"), SystemExit(3), None])
def test_a_device_goes_on_whatever_a_run_does(error: BaseException | None) -> None:
    def run(runs: Sequence[Inputs]) -> list[Outputs]:
        if error is not None:
            raise error
        return []  # a result too few

    queues_ = Queues()
    with pytest.raises((KeyError, CommandError, ValueError)):
        queues_.submit(Job("CPU", run, [])).result(PATIENCE)
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []


def test_a_device_whose_thread_could_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    queues_ = Queues()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            queues_.submit(Job("CPU", echo, []))
    assert queues_.submit(Job("CPU", echo, [])).result(PATIENCE) == []


def test_a_job_that_is_given_up_is_not_done() -> None:
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


def test_a_result_that_nobody_waits_for_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    first: Future[int] = Future()
    seen: list[int] = []
    following = then(first, seen.append)
    told = or_timed_out(first)
    assert following.cancel()
    assert told.cancel()
    first.set_result(1)
    assert seen == []
    assert not caplog.records


def test_a_full_queue_turns_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MAX_WAITING", 2)
    queues_ = Queues()
    for _ in range(2):
        queues_.submit(Job("CPU", echo, [], timeout=0.2, group="m", batching=Batching(size=9, least=9)))
    with pytest.raises(CommandError, match=r"^BUSYWORKER 2 runs wait for CPU already$"):
        queues_.submit(Job("CPU", echo, []))


def test_an_idle_thread_ends_and_the_next_job_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "IDLE", 0.0)
    queues_ = Queues()
    for _ in range(3):
        assert queues_.submit(Job("CPU:77", echo, [])).result(PATIENCE) == []
        wait_for(lambda: not [each for each in threading.enumerate() if each.name == "ai-CPU:77"], what="its end")


def test_what_follows_a_future_passes_errors_on() -> None:
    future: Future[int] = Future()
    following = then(future, lambda value: 1 // value)
    future.set_result(0)
    with pytest.raises(ZeroDivisionError):
        following.result(PATIENCE)


def test_inputs_are_joined_and_outputs_split() -> None:
    runs = [[np.full((count, 2), count), np.zeros((count, 1))] for count in (1, 2)]
    left, right = batches.joined(runs)
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


def test_what_can_be_joined() -> None:
    assert batches.samples([np.zeros((3, 1)), np.zeros((3, 2))]) == 3
    assert batches.samples([np.zeros((3, 1)), np.zeros((2, 1))]) is None
    assert batches.samples([np.zeros(())]) is None
    assert batches.kind([np.zeros((3, 2))]) == batches.kind([np.zeros((9, 2))])
    assert batches.kind([np.zeros((3, 2))]) != batches.kind([np.zeros((3, 1))])
    assert batches.kind([np.zeros((3, 2))]) != batches.kind([np.zeros((3, 2), np.float32)])
