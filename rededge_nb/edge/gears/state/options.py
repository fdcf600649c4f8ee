"""The options of RG.CONFIGGET and RG.CONFIGSET."""

from __future__ import annotations

import threading

import redis

from rededge_nb.edge.client import key_names, pairs

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
    """The options, as this worker read them last. Safe to use from any thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._set: dict[str, str] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Read the options again. What FLUSHALL has deleted is written again."""
        key = key_names.gears_options(self._client)
        with self._lock:
            flat = self._client.execute_command("HGETALL", key)
            texts = [value.decode(errors="replace") for value in flat]
            found = pairs(texts)
            for name in self._set.keys() - found.keys():
                # not HSET: another worker may have set a newer value since
                self._client.execute_command("HSETNX", key, name, self._set[name])
            self._set = self._set | found

    def number(self, name: str) -> int:
        """The value of a built-in option that is a number."""
        return int(self._set.get(name, DEFAULTS[name]))

    def get(self, name: str) -> int | str | None:
        """The value of any option, or None. Names of built-in options are case-sensitive."""
        if isinstance(DEFAULTS.get(name), int):
            return self.number(name)
        return self._set.get(name, DEFAULTS.get(name))

    def users_own(self, name: str) -> str | None:
        """An option that a user added, as gears see it."""
        return None if name in DEFAULTS else self._set.get(name)

    def set(self, name: str, value: str) -> None:
        """Set an option for all workers; this one uses it from now on.

        Raises:
            ValueError: the option is built in, and the value is not a number from 0.
        """
        if name in DEFAULTS and int(value) < 0:
            raise ValueError(f"{name} cannot be {value}: it is a number from 0")
        with self._lock:
            self._client.execute_command("HSET", key_names.gears_options(self._client), name, value)
            self._set[name] = value
