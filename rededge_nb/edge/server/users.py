"""The Redis users of an embedded server, and of the containers of docker-compose.yml.

`default` is the owner and may do everything. `worker` answers AI.* and RG.* and runs gears. `notebook` may run the
commands of this package and its notebooks. `capture` may write frames, and read the model for cameras of which no image
may be stored. `grafana` may read what its dashboards show, `notifier` may read what it sends, and note what it has
sent, `clips` may read events and frames, and `viewer` may read the streams and series of cameras, and nothing else.
docs/security.md says whom each of them protects from what.

Commands of modules are allowed by name, for all of these users: RedisTimeSeries has internal commands, and one of them
lets the server crash. Every command of Redis itself is in one of the categories `fast` and `slow`; those of modules are
in neither.
"""

from __future__ import annotations

from hashlib import sha256

from rededge_nb.edge.worker.command_table import COMMANDS

_CORE = "+@fast +@slow"
"""All commands of Redis itself."""
_OF_THE_SERVER = "-acl -debug -failover -migrate -module -monitor -psync -replicaof -restore -restore-asking -slaveof"
"""Commands that change the server's role, or in which bugs have let clients read foreign memory."""
_READING_SERIES = "+ts.get +ts.info +ts.mget +ts.mrange +ts.mrevrange +ts.queryindex +ts.range +ts.revrange"
_SERIES = (
    f"{_READING_SERIES} +ts.add +ts.alter +ts.create +ts.createrule +ts.decrby +ts.del +ts.deleterule +ts.incrby "
    "+ts.madd"
)
_FROM_WORKERS = " ".join(sorted(f"+{command.name.lower()}" for command in COMMANDS))
"""AI.* and RG.*."""

# For the users below, the commands of Redis are allowed one by one, too, so that those of a newer version are refused
# until somebody has checked them. Only commands about the connection itself are allowed as a category.
_READING = (
    "+exists +hget +hgetall +hlen +hmget +info +scan +scard +sismember +smembers +ttl +type "
    f"+xinfo|groups +xinfo|stream +xlen +xrange +xread +xrevrange {_READING_SERIES}"
)
_CONNECTION = "+@connection -@admin -@dangerous +module|list +time"
_SUBSCRIBING = "+psubscribe +punsubscribe +subscribe +unsubscribe"
_CAMERA_KEYS = "~camera:* ~cameras* ~people_counter:*"

_NOTEBOOK = (
    # Lua and HyperLogLog are refused: most security bugs that were found in Redis 7.4.1 are in them
    f"~* &* {_CORE} -@admin -@dangerous -@scripting -@hyperloglog {_SERIES} {_FROM_WORKERS} "
    "+client|no-evict +flushall +flushdb +info +keys +module|list"
)

_SWITCHBOARD = (
    "+edge.call +edge.done +edge.events +edge.hook +edge.join +edge.next +edge.quiet +edge.reply +edge.report "
    "+edge.streams +edge.unhook +edge.read +edge.write"
)
"""The commands of the switchboard, by which workers get their work."""

RULES = {
    # MODULE LIST: before Redis 7.2 the edge module checks for it in place of the category `dangerous`
    "worker": (f"~* &* {_CORE} {_OF_THE_SERVER} -shutdown -sync +module|list {_SERIES} {_FROM_WORKERS} {_SWITCHBOARD}"),
    "notebook": _NOTEBOOK,
    "capture": (
        f"~camera:* %R~cameras* %R~people_counter:* &camera:* {_CONNECTION} {_READING} +client|no-evict "
        "+del +discard +exec +get +hincrby +hset +multi +pexpire +unwatch +watch +xadd +xtrim +ts.add +ts.del "
        "+ts.incrby +ts.madd (+hmget %R~model:*)"
    ),
    "grafana": (
        f"~* {_CONNECTION} {_READING} +ai.info +client|list +dbsize +hvals +memory|usage +rg.dumpexecutions "
        "+rg.dumpregistrations +rg.pystats +slowlog|get"
    ),
    "notifier": (
        "~camera:*:events %R~camera:* %R~cameras* ~rededge:events* ~rededge:dead_letters:* "
        f"{_CONNECTION} +exists +get +hgetall +smembers +xack +xadd +xgroup|create +xinfo|groups +xinfo|stream "
        "+xlen +xrange +xreadgroup +xrevrange"
    ),
    # not %R~: RedisTimeSeries does not mark its reading commands as such
    "viewer": f"{_CAMERA_KEYS} &camera:* {_CONNECTION} {_READING} {_SUBSCRIBING} +get",
}
"""The permissions of each user, in the syntax of ACL SETUSER."""

_CLIPS = (
    f"~camera:*:events %R~camera:* %R~cameras* {_CONNECTION} +exists +get +hget +hgetall +hmget +smembers +xack "
    "+xgroup|create +xinfo|groups +xinfo|stream +xlen +xrange +xreadgroup +xrevrange"
)

CONTAINER_RULES = RULES | {"clips": _CLIPS, "init": _NOTEBOOK, "lab": _NOTEBOOK}
"""The permissions of the users of docker-compose.yml: each service has a password of its own."""


def configuration_line(user: str, password: str) -> str:
    """The line of redis.conf for a user; it contains the SHA-256 of the password."""
    digest = sha256(password.encode()).hexdigest()
    return f"user {user} on #{digest} resetkeys resetchannels -@all {RULES[user]}"
