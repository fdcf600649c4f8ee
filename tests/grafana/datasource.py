"""What Grafana's Redis data source 2.2.0 does with a query: the words it sends, and the tables it makes of the reply.

Written after the plugin's Go source. It speaks RESP2, sends every argument as text, and where it cannot read a reply
it shows nothing at all: that is an error here.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import redis

FIELD_TYPES = {
    "keyName": str, "query": str, "command": str, "type": str, "field": str, "filter": str, "legend": str,
    "value": str, "section": str, "aggregation": str, "match": str, "cursor": str, "start": str, "end": str,
    "size": int, "count": int, "samples": int, "bucket": int, "fill": bool, "refId": str, "datasource": dict,
}  # fmt: skip
"""JSON types that the plugin's back end demands; another type makes it refuse the query."""

WITH_VARIABLES = ("keyName", "query", "field", "filter", "legend", "value", "path", "cypher")
"""The fields in which the plugin's front end replaces variables; in any other, `$` goes to Redis as it is."""


class QueryError(AssertionError):
    """What a viewer would see as an error, or as `No data` without a reason."""


@dataclass
class Frame:
    """One table of an answer: its name, and its columns by name."""

    name: str
    columns: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return max(map(len, self.columns.values()), default=0)


def replace_variables(target: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """The target as the front end sends it to the back end."""
    return target | {
        name: re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], target[name])
        for name in WITH_VARIABLES
        if target.get(name)
    }


class DataSource:
    """Answers queries as the plugin would, over a connection of its own."""

    def __init__(self, client: redis.Redis) -> None:
        self._connection = client.connection_pool.get_connection()

    def close(self) -> None:
        self._connection.disconnect()

    def query(self, target: dict[str, Any], start_ms: int, end_ms: int) -> list[Frame]:
        """The frames of an answer over a range of time.

        Raises:
            QueryError: the plugin or Redis refuses it, or the plugin cannot read the reply.
        """
        for name, value in target.items():
            if name not in FIELD_TYPES or type(value) is not FIELD_TYPES[name]:
                raise QueryError(f"field {name} with {value!r} is not what the data source takes")
        left = [name for name, value in target.items() if "$" in str(value) and name != "datasource"]
        if left:
            raise QueryError(f"variables are not replaced in {left}: {target}")
        if target["query"]:
            return self._command_line(target)
        try:
            handler = COMMANDS[target["command"]]
        except KeyError:
            raise QueryError(f"the data source has no command {target['command']!r}") from None
        return handler(self, target, start_ms, end_ms)

    def send(self, *words: object) -> Any:
        self._connection.send_command(*(str(word) for word in words))
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            raise QueryError(f"{' '.join(map(str, words))}: {error}") from error

    def options(self, command: str, pattern: str) -> list[str]:
        """The choices of a query variable."""
        frames = self.query({"query": command}, 0, 0)
        values = [str(value) for frame in frames for column in frame.columns.values() for value in column]
        matches = (re.search(pattern.strip("/"), value) for value in values)
        return [match[1] for match in matches if match]

    def _command_line(self, target: dict[str, Any]) -> list[Frame]:
        reply = self.send(*shlex.split(target["query"]))
        if reply is None:
            raise QueryError(f"{target['query']}: a nil reply is shown as `Wrong command`")
        if isinstance(reply, bytes):
            lines = text(reply).replace("\r\n", "\n").split("\n")
            values: list[Any] = [number_or_text(lines[0])] if len(lines) == 1 else list(lines)
        else:
            values = list(flattened(reply)) if isinstance(reply, list) else [reply]
        return [Frame(target.get("keyName", ""), {"Value": values})]


def ts_range(source: DataSource, target: dict[str, Any], start_ms: int, end_ms: int) -> list[Frame]:
    words = ["AGGREGATION", target["aggregation"], target["bucket"]] if target.get("aggregation") else []
    samples = source.send("ts.range", target["keyName"], start_ms, end_ms, *words)
    times = [int(time) for time, _ in samples]
    values = [float(value) for _, value in samples]
    if target.get("fill") and target.get("bucket"):
        bucket, known = target["bucket"], dict(zip(times, values, strict=True))
        times = list(range(times[0], times[-1] + 1, bucket)) if times else []
        values = [known.get(time, 0.0) for time in times]
    return [Frame(target.get("legend") or target["keyName"], {"time": times, target.get("value", ""): values})]


def ts_mrange(source: DataSource, target: dict[str, Any], start_ms: int, end_ms: int) -> list[Frame]:
    words = ["AGGREGATION", target["aggregation"], target["bucket"]] if target.get("aggregation") else []
    filters = shlex.split(target["filter"])
    frames = []
    for key, named, samples in source.send("ts.mrange", start_ms, end_ms, *words, "WITHLABELS", "FILTER", *filters):
        labels = {text(name): text(value) for name, value in named}
        name = labels.get(target["legend"], "") if target.get("legend") else text(key)
        column = labels.get(target["value"], "") if target.get("value") else ""
        columns = {"time": [int(time) for time, _ in samples], column: [float(value) for _, value in samples]}
        frames.append(Frame(name, columns))
    return frames


def xrevrange(source: DataSource, target: dict[str, Any], start_ms: int, end_ms: int) -> list[Frame]:
    start, end = target.get("start") or f"{start_ms}-0", target.get("end") or f"{end_ms}-0"
    count = ["COUNT", target["count"]] if target.get("count") else []
    entries = source.send("XREVRANGE", target["keyName"], end, start, *count)
    if not entries:
        return []
    frame = Frame("xrevrange", {"$streamId": [], "$time": []})
    for entry_id, flat in entries:
        frame.columns["$streamId"].append(text(entry_id))
        frame.columns["$time"].append(int(text(entry_id).split("-")[0]))
        for name, value in pairs(flat):
            frame.columns.setdefault(name, []).append(number_or_text(text(value)))
    return [frame]


def one_value(source: DataSource, target: dict[str, Any], *_: int) -> list[Frame]:
    reply = source.send(target["command"], target["keyName"])
    return [Frame(target["keyName"], {"Value": [number_or_text(text(reply))]})]


def info(source: DataSource, target: dict[str, Any], *_: int) -> list[Frame]:
    lines = [line.split(":") for line in text(source.send("info", target["section"])).split("\r\n")]
    lines = [words for words in lines if len(words) > 1]
    if target["section"] != "commandstats":
        # Grafana numbers columns of one name, such as the lines `module:…`
        times = Counter(name for name, *_ in lines)
        numbers = {name: itertools.count(1) for name in times}
        return [
            Frame(
                "info",
                {
                    name if times[name] == 1 else f"{name} {next(numbers[name])}": [number_or_text(value)]
                    for name, value, *_rest in lines
                },
            )
        ]
    names = ("Command", "Calls", "Usec", "Usec_per_call", "RejectedCalls", "FailedCalls", "CallsMaster")
    frame = Frame("info", {name: [] for name in names})
    for name, value, *_rest in lines:
        figures = [float(pair.split("=")[1]) for pair in value.split(",")][:5]
        for column, figure in zip(names, (name.removeprefix("cmdstat_"), *figures, 0.0), strict=True):
            frame.columns[column].append(figure)
    return [frame]


def client_list(source: DataSource, *_: Any) -> list[Frame]:
    """Whether a column holds numbers is decided by the first row; another kind in a later row loses the answer."""
    frame, kinds = Frame("clientList"), {}
    for line in text(source.send("CLIENT", "LIST")).splitlines():
        row = {name: integer_or_text(value) for name, value in (word.split("=")[:2] for word in line.split())}
        for name, value in row.items():
            if kinds.setdefault(name, type(value)) is not type(value):
                raise QueryError(f"clientList: {name}={value!r} where the first row has a {kinds[name].__name__}")
            frame.columns.setdefault(name, []).append(value)
    return [frame]


def slow_log(source: DataSource, target: dict[str, Any], *_: int) -> list[Frame]:
    entries = source.send("SLOWLOG", "GET", *([target["size"]] if target.get("size") else []))
    columns: dict[str, list[Any]] = {"Id": [], "Timestamp": [], "Duration": [], "Command": []}
    for number, when, duration, arguments, *_rest in entries:
        row = (number, when * 1000, duration, " ".join(text(argument) for argument in arguments))
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return [Frame("slowlogGet", columns)]


def tmscan(source: DataSource, target: dict[str, Any], *_: int) -> list[Frame]:
    words: list[object] = ["match", target["match"]] if target.get("match") else []
    words += ["count", target["count"]] if target.get("count") else []
    cursor, found = source.send("SCAN", target.get("cursor") or "0", *words)
    keys = [text(key) for key in found]
    sizes = {key: source.send("MEMORY", "USAGE", key) or 0 for key in keys}
    if 0 < target.get("size", 0) < len(keys):
        keys = sorted(keys, key=lambda key: -sizes[key])[: target["size"]]
    types = [text(source.send("TYPE", key)) for key in keys]
    listed = {"key": keys, "type": types, "memory": [sizes[key] for key in keys]}
    return [Frame("tmscan", listed), Frame("Cursor", {"cursor": [text(cursor)]})]


def registrations(source: DataSource, *_: Any) -> list[Frame]:
    outer, inner = ("id", "reader", "desc", "PD"), ("mode", "numTriggered", "numSuccess", "numFailures", "numAborted")
    frame = Frame("rg.dumpregistrations", {name: [] for name in (*outer, *inner, "lastError", "args", "status")})
    for reply in source.send("rg.dumpregistrations"):
        registration = dict(pairs(reply))
        data = dict(pairs(registration["RegistrationData"]))
        row = {name: text(registration[name]) for name in outer}
        row |= {"mode": text(data["mode"])} | {name: int(data[name]) for name in inner[1:]}
        row |= {"lastError": text(data["lastError"] or b""), "status": text(data["status"])}
        row["args"] = "\n".join(f'"{name}"="{value}"' for name, value in pairs(data["args"]))
        for name, value in row.items():
            frame.columns[name].append(value)
    return [frame]


def python_memory(source: DataSource, *_: Any) -> list[Frame]:
    figures = {name: [int(value)] for name, value in pairs(source.send("rg.pystats"))}
    return [Frame("rg.pystats", {name: figures[name] for name in ("TotalAllocated", "PeakAllocated", "CurrAllocated")})]


COMMANDS: dict[str, Callable[..., list[Frame]]] = {
    "ts.range": ts_range,
    "ts.mrange": ts_mrange,
    "xrevrange": xrevrange,
    "xlen": one_value,
    "info": info,
    "clientList": client_list,
    "slowlogGet": slow_log,
    "tmscan": tmscan,
    "rg.dumpregistrations": registrations,
    "rg.pystats": python_memory,
}


def flattened(reply: list[Any]) -> Iterable[str]:
    for element in reply:
        if isinstance(element, list):
            yield from flattened(element) if element else ["(empty array)"]
        elif element is None:
            raise QueryError("a nil inside an array is refused: Unsupported array return type")
        else:
            yield text(element)


def pairs(flat: list[Any]) -> list[tuple[str, Any]]:
    return [(text(name), value) for name, value in zip(flat[::2], flat[1::2], strict=True)]


def text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def integer_or_text(value: str) -> int | str:
    return int(value) if re.fullmatch(r"[+-]?\d+", value) else value
