"""Which cameras and charts are watched by whom: channels begin with their first viewer and end with their last."""

from __future__ import annotations

import asyncio
from collections import Counter

import redis

from rededge_nb.web.channels import Channel, Viewer
from rededge_nb.web.charts import ChartChannel, ChartViewer

MAX_VIEWERS = 500
"""Viewers at a time, of all kinds; each holds a connection."""
MAX_CHANNELS = 64
"""Cameras, and charts of different lengths, that are watched at a time; each has a thread."""


class FullError(Exception):
    """There is no room for another viewer; the message says what there are too many of."""


class Hub:
    """All channels. Lives on the IO loop.

    Attributes:
        sent: Pictures sent, by kind of viewer.
        skipped: Pictures that viewers could not take in time, by kind of viewer.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.sent: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._channels: dict[str, Channel] = {}
        self._charts: dict[tuple[str, float], ChartChannel] = {}
        self._ending: set[asyncio.Future[None]] = set()

    def watch(self, camera: str, viewer: Viewer) -> None:
        """Show a camera to a viewer from now on.

        Raises:
            FullError: too many watch already, or too many cameras are watched.
        """
        self._check_room(camera in self._channels)
        channel = self._channels.get(camera)
        if channel is None:
            channel = self._channels[camera] = Channel(self._client, camera, self._loop)
        channel.add(viewer)

    def leave(self, camera: str, viewer: Viewer) -> None:
        """Show it to the viewer no longer."""
        channel = self._channels.get(camera)
        if channel is not None:
            channel.remove(viewer)
            if not channel.viewers:
                self._end(self._channels.pop(camera))

    def watch_charts(self, camera: str, minutes: float, viewer: ChartViewer) -> ChartChannel:
        """Send a viewer the charts of a camera's last minutes from now on.

        Raises:
            FullError: too many watch already, or too many charts are watched.
        """
        key = (camera, minutes)
        self._check_room(key in self._charts)
        channel = self._charts.get(key)
        if channel is None:
            channel = self._charts[key] = ChartChannel(self._client, camera, minutes, self._loop)
        channel.add(viewer)
        return channel

    def leave_charts(self, channel: ChartChannel, viewer: ChartViewer) -> None:
        """Send them to the viewer no longer."""
        channel.remove(viewer)
        key = (channel.camera, channel.minutes)
        if not channel.viewers and self._charts.get(key) is channel:
            self._end(self._charts.pop(key))

    def viewers(self) -> dict[str, int]:
        """Number of viewers of pictures, by camera."""
        return {camera: len(channel.viewers) for camera, channel in self._channels.items()}

    def drop_stalled(self) -> None:
        """End viewers that have taken nothing for long: mostly those whose network has gone."""
        for channel in list(self._channels.values()):
            for viewer in list(channel.viewers):
                if viewer.stalled():
                    viewer.close()

    async def close(self) -> None:
        """End all viewers, and wait until the channels have ended."""
        for channel in list(self._channels.values()):
            for viewer in list(channel.viewers):
                viewer.close()
                self.leave(channel.camera, viewer)
        for charts in list(self._charts.values()):
            for each in list(charts.viewers):
                self.leave_charts(charts, each)
        if self._ending:
            await asyncio.wait(self._ending)

    def _check_room(self, known: bool) -> None:
        viewers = sum(self.viewers().values()) + sum(len(charts.viewers) for charts in self._charts.values())
        if viewers >= MAX_VIEWERS:
            raise FullError(f"{viewers} viewers are served already, which is the most: try again later")
        if not known and len(self._channels) + len(self._charts) >= MAX_CHANNELS:
            raise FullError(f"{MAX_CHANNELS} cameras and charts are watched already, which is the most")

    def _end(self, channel: Channel | ChartChannel) -> None:
        # it waits for a thread, so not on the loop
        ending = self._loop.run_in_executor(None, channel.close)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
