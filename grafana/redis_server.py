"""The dashboard "Redis": the state of the server, and the calls that its edge module passes to workers."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models import dashboard

from grafana import queries
from grafana.panels import Panel, at, bars, called, hide, levels, number, page, rows, setting, transformation, unit
from grafana.queries import Query, cli, info

UID, TITLE = "rededge-redis", "Redis"
CLIENT_COLUMNS = ["id", "name", "addr", "age", "idle", "db", "cmd", "tot-mem", "user", "lib-name"]
KEYS_SCANNED, KEYS_SHOWN, SLOW_CALLS = 1_000, 20, 25


def redis_dashboard() -> Dashboard:
    """The dashboard, row by row."""
    description = "Operations, network, memory, clients, keys, commands, slow calls and modules of a Redis server."
    board = page(TITLE, UID, description)
    for panel in (*overview(), *traffic(), *keys()):
        board.with_panel(panel)
    board.with_row(Row("Modules").grid_pos(at(0, 13, 24, 1)))
    for panel in modules():
        board.with_panel(panel)
    board.with_row(Row("Clients and commands").grid_pos(at(0, 20, 24, 1)))
    for panel in (clients(), commands(), slow_log(), largest_keys()):
        board.with_panel(panel)
    return board


def one(title: str, position: dashboard.GridPos, query: Query, name: str) -> stat.Panel:
    """One column of a reply as a large number or text."""
    return number(title, position, query, columns=f"/^{name}$/")


def overview() -> tuple[stat.Panel, ...]:
    """The first row: seven facts about the server."""
    return (
        one("Operations per second", at(0, 0, 4, 4), info("stats"), "instantaneous_ops_per_sec").unit("ops"),
        one("Clients", at(4, 0, 3, 4), info("clients"), "connected_clients").unit("short"),
        number("Keys", at(7, 0, 3, 4), cli("dbsize")).unit("short"),
        one("Uptime", at(10, 0, 4, 4), info("server"), "uptime_in_seconds").unit("s"),
        one("Version", at(14, 0, 3, 4), info("server"), "redis_version"),
        one("Eviction policy", at(17, 0, 4, 4), info("memory"), "maxmemory_policy"),
        one("Append-only file", at(21, 0, 3, 4), info("persistence"), "aof_current_size").unit("bytes"),
    )


def traffic() -> tuple[Panel, ...]:
    """Network, memory and blocked clients."""
    memory = bars("Memory", at(6, 4, 9, 9), info("memory"), "/^used_memory(|_rss|_peak|_dataset|_lua)$/").unit("bytes")
    for name, title in {
        "used_memory": "used",
        "used_memory_rss": "resident",
        "used_memory_peak": "peak",
        "used_memory_dataset": "data",
        "used_memory_lua": "scripts",
    }.items():
        memory.override_by_name(name, called(title))
    kilobytes = "instantaneous_{}_kbps"
    return (
        one("Network in", at(0, 4, 3, 5), info("stats"), kilobytes.format("input")).unit("KBs"),
        one("Network out", at(3, 4, 3, 5), info("stats"), kilobytes.format("output")).unit("KBs"),
        one("Blocked clients", at(0, 9, 3, 4), info("clients"), "blocked_clients").unit("short"),
        one("Memory of the machine", at(3, 9, 3, 4), info("memory"), "total_system_memory").unit("bytes"),
        memory,
    )


def keys() -> tuple[Panel, ...]:
    """Found, missing, expired and evicted keys; refused connections; error replies."""
    lookups = bars(
        "Look-ups and keys", at(15, 4, 9, 6), info("stats"), "/^(keyspace_(hits|misses)|(expired|evicted)_keys)$/"
    )
    for name, title in {
        "keyspace_hits": "found",
        "keyspace_misses": "not found",
        "expired_keys": "expired",
        "evicted_keys": "evicted",
    }.items():
        lookups.override_by_name(name, called(title))
    refused = one("Connections refused", at(15, 10, 4, 3), info("stats"), "rejected_connections").unit("short")
    failed = one("Error replies", at(19, 10, 5, 3), info("stats"), "total_error_replies").unit("short")
    return lookups.unit("short"), refused.thresholds(levels(1)), failed


def modules() -> tuple[Panel, ...]:
    """The modules, and the queues of AI.* and RG.* calls that wait for workers."""

    def lines(title: str, position: dashboard.GridPos, section: str, pattern: str, empty: str) -> Panel:
        # INFO modules also contains the sections that modules add
        wanted = transformation("filterFieldsByName", {"include": {"pattern": pattern}})
        upright = transformation("reduce", {"mode": "seriesToRows", "reducers": ["lastNotNull"]})
        return (
            rows(title, position, info(section), empty=empty)
            .transformations([wanted, upright])
            .override_by_name("Field", [*called("name"), setting("custom.width", 200)])
            .override_by_name("Last *", called("facts"))
        )

    return (
        lines("Modules", at(0, 14, 12, 6), "modules", "/^module/", "No module is loaded"),
        lines(
            "Calls for workers",
            at(12, 14, 12, 6),
            "rededge_switchboard",
            "/^rededge_/",
            "The edge module is not loaded",
        ),
    )


def clients() -> Panel:
    """The connected clients."""
    return (
        rows("Client connections", at(0, 21, 14, 8), queries.clients(), empty="No client is connected")
        .override_by_name("age", unit("s"))
        .override_by_name("idle", unit("s"))
        .override_by_name("tot-mem", unit("bytes"))
        .transformations([transformation("filterFieldsByName", {"include": {"names": CLIENT_COLUMNS}})])
    )


def commands() -> Panel:
    """Number of calls and duration of each command."""
    return (
        rows("Command statistics", at(14, 21, 10, 8), info("commandstats"), empty="No command was called")
        .override_by_name("Usec", called("total time"))
        .override_by_name("Usec_per_call", called("time per call"))
        .transformations([hide("CallsMaster")])
    )


def slow_log() -> Panel:
    """The slow log; calls that contain images are shown as they are."""
    return (
        rows("Slow calls", at(0, 29, 14, 8), queries.slow_log(SLOW_CALLS), empty="No call was slow")
        .override_by_name("Timestamp", called("time"))
        .override_by_name("Duration", [setting("custom.width", 120)])
    )


def largest_keys() -> Panel:
    """The keys with the most memory."""
    return rows(
        f"Largest of {KEYS_SCANNED:,} keys",
        at(14, 29, 10, 8),
        queries.largest_keys(KEYS_SCANNED, KEYS_SHOWN),
        empty="No keys",
    ).override_by_name("memory", unit("bytes"))
