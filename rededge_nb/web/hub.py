"""Connects viewers and channels: a channel starts with its first viewer and ends with its last.

Each channel has a thread and a connection to Redis, so their number is limited. A channel that is ending counts until
its thread has ended: otherwise a client that watches one camera after the other could start any number of threads.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import redis

from rededge_nb.web.channels import Channel, Viewer
from rededge_nb.web.charts import ChartChannel, ChartViewer

MAX_VIEWERS = 500
"""Viewers at a time, of all kinds. Each has a connection."""
MAX_CHANNELS = 64
"""Channels at a time: cameras, and charts of a camera and a length. Each has a thread."""

_POLL_INTERVAL = 0.02


class TooManyError(Exception):
    """There are too many viewers or channels; the message says which."""


class Hub:
    """All channels. It must be used on the IO loop only.

    Attributes:
        sent: Frames sent, by kind of viewer.
        skipped: Frames that viewers were too slow for, by kind of viewer.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.sent: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._channels: dict[str, Channel] = {}
        self._charts: dict[tuple[str, float], ChartChannel] = {}
        self._ending: list[Channel | ChartChannel] = []

    def watch(self, camera: str, viewer: Viewer) -> None:
        """Start to show a camera to a viewer.

        Raises:
            TooManyError: there are too many viewers or channels.
        """
        self._check_room(camera in self._channels)
        channel = self._channels.get(camera)
        if channel is None:
            channel = self._channels[camera] = Channel(self._client, camera, self._loop)
        channel.add(viewer)

    def leave(self, camera: str, viewer: Viewer) -> None:
        """Stop showing a camera to a viewer."""
        channel = self._channels.get(camera)
        if channel is not None:
            channel.remove(viewer)
            if not channel.viewers:
                self._end(self._channels.pop(camera))

    def watch_charts(self, camera: str, minutes: float, viewer: ChartViewer) -> ChartChannel:
        """Start to send the charts of a camera's last minutes to a viewer.

        Raises:
            TooManyError: there are too many viewers or channels.
        """
        key = (camera, minutes)
        self._check_room(key in self._charts)
        channel = self._charts.get(key)
        if channel is None:
            channel = self._charts[key] = ChartChannel(self._client, camera, minutes, self._loop)
        channel.add(viewer)
        return channel

    def leave_charts(self, channel: ChartChannel, viewer: ChartViewer) -> None:
        """Stop sending charts to a viewer."""
        channel.remove(viewer)
        key = (channel.camera, channel.minutes)
        if not channel.viewers and self._charts.get(key) is channel:
            self._end(self._charts.pop(key))

    def viewers(self) -> dict[str, int]:
        """Number of viewers of the video, by camera."""
        return {camera: len(channel.viewers) for camera, channel in self._channels.items()}

    def drop_stalled(self) -> None:
        """Disconnect viewers that have accepted no data for long: most of them have lost their network."""
        for channel in list(self._channels.values()):
            for viewer in list(channel.viewers):
                if viewer.stalled():
                    viewer.close()

    async def close(self, *, timeout: float) -> None:
        """Disconnect all viewers, and wait until the channels have ended, at most for `timeout` seconds."""
        for channel in list(self._channels.values()):
            for viewer in list(channel.viewers):
                viewer.close()
                self.leave(channel.camera, viewer)
        for charts in list(self._charts.values()):
            for each in list(charts.viewers):
                self.leave_charts(charts, each)
        deadline = self._loop.time() + timeout
        while not all(channel.ended for channel in self._ending) and self._loop.time() < deadline:
            await asyncio.sleep(_POLL_INTERVAL)

    def _check_room(self, known: bool) -> None:
        viewers = sum(self.viewers().values()) + sum(len(charts.viewers) for charts in self._charts.values())
        if viewers >= MAX_VIEWERS:
            raise TooManyError(f"{viewers} viewers are connected, which is the maximum: try again later")
        self._ending = [channel for channel in self._ending if not channel.ended]
        if not known and len(self._channels) + len(self._charts) + len(self._ending) >= MAX_CHANNELS:
            raise TooManyError(f"{MAX_CHANNELS} cameras and charts are being watched, which is the maximum")

    def _end(self, channel: Channel | ChartChannel) -> None:
        channel.cancel()
        self._ending.append(channel)
