from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from rededge_nb import Workbench, settings
from rededge_nb.control.executions import list_executions
from rededge_nb.control.gears import list_registrations
from rededge_nb.edge.gears.runtime.output import CUT_OFF, MAX_CHARACTERS
from rededge_nb.errors import ConfigurationError, GearError, RedEdgeError, ServerUnavailableError
from tests.waiting import wait_for

Run = Callable[[str], Any]
Failing = Callable[[str], tuple[RedEdgeError, str]]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config, ipython_dir=str(tmp_path), colors="nocolor")
    shell.run_line_magic("load_ext", "rededge_nb")
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


@pytest.fixture
def run(shell: InteractiveShell, client: redis.Redis) -> Run:
    """Runs a cell and returns its value."""

    def run(cell: str) -> Any:
        result = shell.run_cell(cell, store_history=True)
        result.raise_error()
        return result.result

    return run


@pytest.fixture
def failing(shell: InteractiveShell, client: redis.Redis, capsys: pytest.CaptureFixture[str]) -> Failing:
    """Runs a cell that fails; returns its error, and what is shown of it."""

    def run(cell: str) -> tuple[RedEdgeError, str]:
        capsys.readouterr()
        error = shell.run_cell(cell, store_history=True).error_in_exec
        assert isinstance(error, RedEdgeError)
        return error, capsys.readouterr().out

    return run


def test_a_command_is_sent_and_its_reply_shown_as_redis_cli_does(run: Run) -> None:
    assert repr(run("%redis RPUSH numbers 1 'two words' 3")) == "(integer) 3"
    assert repr(run("%redis LRANGE numbers 0 -1")) == '1) "1"\n2) "two words"\n3) "3"'
    assert repr(run("%redis PING")) == "PONG"
    assert repr(run("%redis GET numbers")).startswith("(error) WRONGTYPE")
    assert repr(run("%redis NOSUCH")).startswith("(error) ERR unknown command")


def test_a_reply_may_be_assigned(run: Run, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    run("%redis SET x 5")
    capsys.readouterr()
    assert run("reply = %redis GET x") is None
    assert capsys.readouterr().out == ""
    assert shell.user_ns["reply"].value == b"5"


def test_replies_are_not_changed_by_redis_py(run: Run) -> None:
    run("%redis HSET h a 1")
    assert run("%redis HGETALL h") == [b"a", b"1"]
    assert "redis_version:" in repr(run("%redis INFO server"))


def test_values_of_the_notebook_arrive_unchanged(run: Run, client: redis.Redis) -> None:
    run("jpeg, name = b'\\xff\\xd8 \\x00 $name', 'a b'")
    run("%redis SET $name $jpeg")
    assert client.get("a b") == b"\xff\xd8 \x00 $name"
    run("def of(key):\n    return get_ipython().run_line_magic('redis', 'GET {key}')")
    assert run("of('a b')") == b"\xff\xd8 \x00 $name"


def test_a_cell_is_one_command_a_line_on_one_connection(run: Run, client: redis.Redis) -> None:
    replies = run("%%redis\nMULTI\nINCR n\n\n# counts twice\nINCR n\nEXEC\nSELECT 1\nSET elsewhere 1")
    assert repr(replies) == "OK\nQUEUED\nQUEUED\n1) (integer) 1\n2) (integer) 2\nOK\nOK"
    assert client.get("elsewhere") is None
    assert repr(run("%redis GET elsewhere")) == "(nil)"
    run("%%redis\nSELECT 1\nDEL elsewhere")


def test_nothing_of_a_cell_is_sent_if_a_line_is_malformed(failing: Failing, client: redis.Redis) -> None:
    error, shown = failing("%%redis\nSET x 1\nSET y $missing\n")
    assert isinstance(error, ConfigurationError)
    assert "$missing has no value" in shown
    assert shown.count("\n") == 1
    assert client.exists("x") == 0
    assert "there is no command" in failing("%redis")[1]


def test_the_server_is_that_of_the_workbench(run: Run, shell: InteractiveShell, folder: Path) -> None:
    with Workbench(directory=folder) as wb:
        shell.user_ns["bench"] = wb
        run("%redis SET here 1")
        assert wb.client.get("here") == b"1"
        del shell.user_ns["bench"]
        assert repr(run("%redis GET here")) == "(nil)"


def test_without_a_server_it_says_what_to_do(failing: Failing, folder: Path) -> None:
    with settings.state_dir_set_to(folder / "none"):
        error, shown = failing("%redis PING")
    assert isinstance(error, ServerUnavailableError)
    assert "rededge up" in shown
    assert "Traceback" not in shown


def test_no_connection_stays(run: Run, client: redis.Redis) -> None:
    before = len(client.client_list())
    for _ in range(3):
        run("%redis PING")
    wait_for(lambda: len(client.client_list()) <= before, what="the magics' connections to be closed")


def test_a_gear_is_run_and_its_results_shown(run: Run) -> None:
    run("%redis XADD numbers * n 3")
    found = run("%%gear\nGB('StreamReader').map(lambda r: int(r['value']['n']) ** 2).run('numbers')")
    assert repr(found) == '1) "9"'
    assert repr(run("%%gear\nGB('StreamReader').run('nothing')")) == "(empty array)"


def test_a_gear_is_registered_and_replaced(run: Run, failing: Failing, client: redis.Redis) -> None:
    code = "def double(r):\n    execute('RPUSH', 'doubles', int(r['value']['n']) * {})\n\n"
    code += "GB('StreamReader').foreach(double).register('numbers')"
    assert repr(run("%%gear --id demo --description 'two times'\n" + code.format(2))) == "OK"
    [registration] = list_registrations(client)
    assert (registration.session, registration.session_description) == ("demo", "two times")
    error, shown = failing("%%gear --id demo\n" + code.format(3))
    assert isinstance(error, GearError)
    assert "add --upgrade" in shown
    run("session = 'demo'")
    run("%%gear --id $session --upgrade\n" + code.format(3))
    assert len(list_registrations(client)) == 1
    run("%redis XADD numbers * n 5")
    assert client.blpop("doubles", 10) == (b"doubles", b"15")


def test_a_gear_is_given_variables_of_the_notebook(run: Run) -> None:
    run("%redis XADD 'the numbers' * n 3")
    run("stream, wanted = 'the numbers', {'by': [2, b'x', None]}")
    times = "GB('StreamReader').map(lambda r: wanted['by'][0] * int(r['value']['n'])).run(stream)"
    assert repr(run(f"%%gear --with stream wanted\n{times}")) == '1) "6"'


DIVIDES = """%%gear --id demo

def divide(r):
    return 1 / int(r["value"]["n"])

GB("StreamReader").map(lambda r: divide(r)).{}
"""


def test_a_gear_that_raises_is_shown_with_the_lines_of_the_cell(run: Run, failing: Failing) -> None:
    run("%redis XADD numbers * n 0")
    error, shown = failing(DIVIDES.format('run("numbers")'))
    assert isinstance(error, GearError)
    assert str(error) == "ZeroDivisionError: division by zero (line 4 of the cell)"
    assert shown.splitlines() == [
        "Traceback (most recent call last):",
        "  Cell In[2], line 6, in <lambda>",
        '      4     return 1 / int(r["value"]["n"])',
        "      5",
        '----> 6 GB("StreamReader").map(lambda r: divide(r)).run("numbers")',
        "  Cell In[2], line 4, in divide",
        "      2",
        "      3 def divide(r):",
        '----> 4     return 1 / int(r["value"]["n"])',
        "      5",
        '      6 GB("StreamReader").map(lambda r: divide(r)).run("numbers")',
        "ZeroDivisionError: division by zero",
    ]


def test_a_registered_gear_that_fails_later_counts_lines_as_the_cell_does(run: Run, client: redis.Redis) -> None:
    run("%redis XADD numbers * n 0")
    run(DIVIDES.format('register("numbers")'))
    [gear] = wait_for(
        lambda: [each for each in list_registrations(client) if each.last_error], what="the gear's error to be told"
    )
    assert "Cell In[2], line 4, in divide" in gear.last_error


def test_a_syntax_error_is_shown_with_its_mark(failing: Failing) -> None:
    error, shown = failing("%%gear\ndef f(r:\n    pass")
    assert shown.splitlines() == [
        "  Cell In[1], line 2",
        "    def f(r:",
        "         ^",
        "SyntaxError: '(' was never closed",
    ]
    assert str(error) == "SyntaxError: '(' was never closed (line 2 of the cell)"


def test_no_frames_of_this_package_are_shown_but_those_of_other_modules_are(failing: Failing) -> None:
    _, shown = failing("%%gear\nexecute('GET')")
    assert "rededge_nb" not in shown
    assert "----> 2 execute('GET')" in shown
    _, shown = failing("%%gear\nimport json\njson.loads('x')")
    assert "decoder.py" in shown
    assert "----> 3 json.loads('x')" in shown
    _, shown = failing("%%gear\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('so') from e")
    assert "direct cause" in shown
    assert "----> 5     raise ValueError('so') from e" in shown


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("%%gear --id\n1", "argument --id: expected one argument; the usage is %%gear [--id SESSION]"),
        ("%%gear people\n1", "unrecognized arguments: people"),
        ("%%gear --description 'a\n1", "not closed"),
        ("%%gear --with nothing\n1", "--with nothing: the notebook has no such variable"),
        ("%%gear --with get_ipython\n1", "--with get_ipython: it is of type method, but only text"),
        ("%%gear --id 'a b'\n1", "ID must be compose of"),
    ],
)
def test_wrong_options_get_a_message_of_one_line(failing: Failing, cell: str, complaint: str) -> None:
    _, shown = failing(cell)
    assert complaint in shown
    assert shown.count("\n") == 1


def test_the_magics_have_a_help_text(shell: InteractiveShell) -> None:
    assert "%%gear [--id SESSION]" in str(shell.find_cell_magic("gear").__doc__)
    assert "redis-cli" in str(shell.find_line_magic("redis").__doc__)


# output, and interrupts


def test_what_a_gear_prints_is_shown_in_the_cell(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%redis XADD numbers * n 3")
    capsys.readouterr()
    run(
        "%%gear\nprint('the script')\ndef show(r):\n    print('a number:', r['value']['n'], 'äöü')\n"
        "GB('StreamReader').foreach(show).count().run('numbers')"
    )
    assert capsys.readouterr().out.startswith("the script\na number: 3 äöü\n")


def test_what_a_gear_prints_before_its_error_is_shown(failing: Failing) -> None:
    _, shown = failing("%%gear\nprint('before')\n1 / 0")
    assert shown.startswith("before\n")
    assert "ZeroDivisionError" in shown


def test_much_output_is_cut_off(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%%gear\nfor line in range(30_000):\n    print(line)\nprint('x' * 1_000_000)")
    shown = capsys.readouterr().out
    assert shown.startswith("0\n1\n2\n")
    assert shown.count(CUT_OFF) == 1
    assert len(shown) <= MAX_CHARACTERS + len(CUT_OFF) + len("Out[0]: OK\n")


ENDLESS_RUN = "%%gear\nGB('PythonReader').map(lambda x: print('step')).run(lambda: iter([1]))"
ENDLESS_SCRIPT = "%%gear --id mine\nprint('step')\nwhile True: pass"
ENDLESS_COMMAND = "%redis RG.PYEXECUTE \"print('step')\\nwhile True: pass\""


@pytest.mark.parametrize("cell", [ENDLESS_RUN, ENDLESS_SCRIPT, ENDLESS_COMMAND])
def test_interrupting_a_cell_aborts_its_gear_and_prints_one_line(
    shell: InteractiveShell, client: redis.Redis, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    result = interrupted(shell, cell, lambda: any(each.status == "running" for each in list_executions(client)))
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    *printed, last = capsys.readouterr().out.splitlines()
    assert "step" in printed
    assert last == "interrupted: the gear was aborted"
    assert [each for each in list_executions(client) if not each.ended] == []


def test_interrupting_a_cell_leaves_the_gears_of_others(
    shell: InteractiveShell, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    client.execute_command("RG.PYEXECUTE", "GB('PythonReader').run(lambda: iter(lambda: 1, 2))", "UNBLOCKING")
    [other] = [each.id for each in list_executions(client)]
    interrupted(shell, ENDLESS_RUN, lambda: len(running(client)) == 2)
    assert capsys.readouterr().out.endswith("interrupted: the gear was aborted\n")
    assert running(client) == [other]
    client.execute_command("RG.ABORTEXECUTION", other)


def test_interrupting_a_command_that_blocks_ends_it(
    shell: InteractiveShell, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    def blocked() -> int:
        return int(client.info("clients")["blocked_clients"])

    before = blocked()
    interrupted(shell, "%redis BLPOP never 0", lambda: blocked() > before)
    assert capsys.readouterr().out == "interrupted: the server no longer waits for this command\n"
    wait_for(lambda: blocked() == before, what="Redis to end the command")


@pytest.mark.parametrize("stream", ["camera:7", "camera:7:yolo", "camera:*", "cam*"])
def test_a_gear_that_deletes_what_cameras_write_causes_a_warning(
    run: Run, capsys: pytest.CaptureFixture[str], stream: str
) -> None:
    run(f"%%gear --id mine\nGB('StreamReader').count().register('{stream}')")
    assert f"this gear deletes the entries of {stream}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["'camera:7', trimStream=False", "'camera', trimStream=True", "'numbers'"])
def test_other_gears_cause_no_warning(run: Run, capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    run(f"%%gear --id mine\nGB('StreamReader').count().register({arguments})")
    assert capsys.readouterr().err == ""


def interrupted(shell: InteractiveShell, cell: str, when: Callable[[], bool]) -> Any:
    """Run a cell, and interrupt it as a notebook does when `when()` is true."""

    def interrupt() -> None:
        try:
            wait_for(when, timeout=30, what="the cell to run")
        finally:  # without it the cell, and the test, would have no end
            os.kill(os.getpid(), signal.SIGINT)

    # tests that a shell runs in the background ignore the signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        return shell.run_cell(cell)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


def running(client: redis.Redis) -> list[str]:
    return [each.id for each in list_executions(client) if each.status == "running"]
