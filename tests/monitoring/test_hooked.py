"""Commands that wait for a gear, as `rededge status` and `rededge doctor` show them."""

from __future__ import annotations

import redis

from rededge_nb.monitoring.hooked import described, hooked_commands, without_worker
from tests.gear_scripts import execute, registrations


def test_hooked_commands_are_listed_with_their_registrations(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').map(lambda r: call_next(*r[1:])).register(hook='HSET', keyprefix='user:')")
    execute(client, "GB().register('order:*', mode='sync')")
    execute(client, "GB().register('unrelated:*')")
    first, second, _ = sorted(one["id"].decode() for one in registrations(client))
    found = hooked_commands(client)
    assert found == [
        {"commands": "hset", "keys": "user:*", "registration": first},
        {"commands": "all commands that write", "keys": "order:*", "registration": second},
    ]
    assert f"hset on user:* (registration {first})" in described(found)
    assert without_worker(found, 1) == []
    [sentence] = without_worker(found, 0)
    assert "all commands that write; hset" in sentence
