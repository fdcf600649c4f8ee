"""The options of RG.CONFIGGET and RG.CONFIGSET."""

from __future__ import annotations

import redis

from rededge_nb.edge import own_keys

DEFAULTS: dict[str, int | str] = {
    "MaxExecutions": 1_000,
    "MaxExecutionsPerRegistration": 100,
    "ProfileExecutions": 0,
    "PythonAttemptTraceback": 1,
    "ExecutionMaxIdleTime": 5_000,
    "PythonInstallReqMaxIdleTime": 30_000,
    "SendMsgRetries": 3,
    "CreateVenv": 0,
    "ExecutionThreads": 3,
    "OverridePythonAllocators": 1,
    "DownloadDeps": 0,
    "DependenciesUrl": "",
    "DependenciesSha256": "",
    "PythonInstallationDir": "",
    "Plugin": "",
}
AT_RUN_TIME = {
    "MaxExecutions", "MaxExecutionsPerRegistration", "ProfileExecutions", "PythonAttemptTraceback",
    "ExecutionMaxIdleTime", "PythonInstallReqMaxIdleTime", "SendMsgRetries",
}  # fmt: skip
"""The built-in options that can be changed."""


class Options:
    """The options as this worker last read them."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._set: dict[str, str] = {}

    def refresh(self) -> None:
        """Read what was set since the last time."""
        flat = self._client.execute_command("HGETALL", own_keys.gears_options(self._client))
        texts = [value.decode(errors="replace") for value in flat]
        self._set = dict(zip(texts[::2], texts[1::2], strict=True))

    def number(self, name: str) -> int:
        """A built-in option that is a number."""
        return int(self._set.get(name, DEFAULTS[name]))

    def get(self, name: str) -> int | str | None:
        """Any option, or None: names of built-in ones are case-sensitive."""
        if isinstance(DEFAULTS.get(name), int):
            return self.number(name)
        return self._set.get(name, DEFAULTS.get(name))

    def users_own(self, name: str) -> str | None:
        """An option of the user's own, as gears see it."""
        return None if name in DEFAULTS else self._set.get(name)

    def set(self, name: str, value: str) -> None:
        """Set an option for all workers; this one uses it from now on.

        Raises:
            ValueError: a built-in option is a number, and the value is none.
        """
        if name in DEFAULTS and int(value) < 0:
            raise ValueError(f"{name} cannot be {value}: it is a number from 0")
        self._client.execute_command("HSET", own_keys.gears_options(self._client), name, value)
        self._set[name] = value
