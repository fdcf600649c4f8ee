"""The Redis users of an embedded server.

`default` is the owner and may do everything. `worker` answers AI.* and RG.* and runs gears. `notebook` may run the
commands of this package and its notebooks. `viewer` may read the streams and series of cameras, and nothing else.
docs/security.md says whom each of them protects from what.
"""

from __future__ import annotations

from hashlib import sha256

OWNER = "default"
"""The user of a client that sends only a password."""

_OF_THE_SERVER = "-acl -debug -failover -migrate -module -monitor -psync -replicaof -restore -restore-asking -slaveof"
"""Commands that change the server's role, or in which bugs have let clients read foreign memory."""

# These commands are allowed one by one, so that the commands of a newer Redis or module are refused until somebody has
# checked them. Only those about the connection itself are allowed as a category.
_READING = (
    "+exists +hget +hgetall +hlen +hmget +info +scan +scard +sismember +smembers +ttl +type "
    "+xinfo|groups +xinfo|stream +xlen +xrange +xread +xrevrange "
    "+ts.get +ts.info +ts.mget +ts.mrange +ts.mrevrange +ts.queryindex +ts.range +ts.revrange"
)
_CONNECTION = "+@connection -@admin -@dangerous +module|list +time"
_SUBSCRIBING = "+psubscribe +punsubscribe +subscribe +unsubscribe"

RULES = {
    # MODULE LIST: before Redis 7.2 the edge module checks for it in place of the category `dangerous`
    "worker": f"~* &* +@all {_OF_THE_SERVER} -shutdown -sync +module|list",
    # Lua and HyperLogLog are refused: most security bugs that were found in Redis 7.4.1 are in them
    "notebook": (
        "~* &* +@all -@admin -@dangerous -@scripting -@hyperloglog -edge.next -edge.reply "
        "+ai.config +ai.dagexecute +ai.dagrun +ai.scriptdel +ai.scriptexecute +ai.scriptrun +ai.scriptset "
        "+ai.scriptstore "
        "+rg.abortexecution +rg.clearregistrationsstats +rg.configset +rg.dropexecution +rg.pauseregistrations "
        "+rg.pyexecute +rg.pyexportreq +rg.pyimportreq +rg.refreshcluster +rg.unpauseregistrations +rg.unregister "
        "+client|no-evict +flushall +flushdb +info +keys +module|list"
    ),
    # not %R~: RedisTimeSeries does not mark its reading commands as such
    "viewer": f"~camera:* ~cameras* ~people_counter:* &camera:* {_CONNECTION} {_READING} {_SUBSCRIBING}",
}
"""The permissions of each user, in the syntax of ACL SETUSER."""


def configuration_line(user: str, password: str) -> str:
    """The line of redis.conf for a user; it contains the SHA-256 of the password."""
    digest = sha256(password.encode()).hexdigest()
    return f"user {user} on #{digest} resetkeys resetchannels -@all {RULES[user]}"
