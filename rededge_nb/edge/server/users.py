"""The users of an embedded server besides `default`, which its owner is and which may do everything.

`worker` answers AI.* and RG.* and runs gears. `notebook` may do what this package and its notebooks do. `viewer` may
read the cameras' streams and series, and nothing else. docs/security.md says what each of them is worth.
"""

from __future__ import annotations

from hashlib import sha256

OWNER = "default"
"""Who connects with the password alone."""

_OF_THE_SERVER = "-acl -debug -failover -migrate -module -monitor -psync -replicaof -restore -restore-asking -slaveof"
"""Commands that change what the server is, or have read memory that was none of theirs."""

# Named one by one, but for those about the connection itself: what a later Redis or module brings is refused until
# somebody has thought about it.
_READING = (
    "+exists +hget +hgetall +hlen +hmget +info +scan +scard +sismember +smembers +ttl +type "
    "+xinfo|groups +xinfo|stream +xlen +xrange +xread +xrevrange "
    "+ts.get +ts.info +ts.mget +ts.mrange +ts.mrevrange +ts.queryindex +ts.range +ts.revrange"
)
_CONNECTION = "+@connection -@admin -@dangerous +module|list +time"
_SUBSCRIBING = "+psubscribe +punsubscribe +subscribe +unsubscribe"

RULES = {
    # MODULE LIST: before Redis 7.2 the edge module asks for it in place of the category `dangerous`
    "worker": f"~* &* +@all {_OF_THE_SERVER} -shutdown -sync +module|list",
    # without Lua and HyperLogLog, in which most of what was found in Redis 7.4.1 since is
    "notebook": (
        "~* &* +@all -@admin -@dangerous -@scripting -@hyperloglog -edge.next -edge.reply "
        "+ai.config +ai.dagexecute +ai.dagrun +ai.scriptdel +ai.scriptexecute +ai.scriptrun +ai.scriptset "
        "+ai.scriptstore "
        "+rg.abortexecution +rg.clearregistrationsstats +rg.configset +rg.dropexecution +rg.pauseregistrations "
        "+rg.pyexecute +rg.pyexportreq +rg.pyimportreq +rg.refreshcluster +rg.unpauseregistrations +rg.unregister "
        "+flushall +flushdb +info +keys +module|list"
    ),
    # not %R~: RedisTimeSeries does not say of its commands that they only read
    "viewer": f"~camera:* ~cameras* ~people_counter:* &camera:* {_CONNECTION} {_READING} {_SUBSCRIBING}",
}
"""What each user may do, as ACL SETUSER takes it."""


def configuration_line(user: str, password: str) -> str:
    """The line of redis.conf that makes a user; it holds the password's SHA-256 only."""
    digest = sha256(password.encode()).hexdigest()
    return f"user {user} on #{digest} resetkeys resetchannels -@all {RULES[user]}"
