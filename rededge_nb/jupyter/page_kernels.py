"""Ends the kernels of pages that have gone.

A page that is closed ends its kernel. Where the browser could not say so, because it was killed or has lost the
network, jupyter_server ends a kernel that has been idle for some minutes. But the dashboard's widgets send messages all
the time, which counts as activity: such a kernel would run for ever, and the messages that nobody reads would fill the
memory. Here only connections count, and whether a cell runs.
"""

from __future__ import annotations

import time
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager


class PageKernels(AsyncMappingKernelManager):
    """Ends each kernel that no page has been connected to for `cull_idle_timeout` seconds; voila's settings name it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # jupyter_server has no types
        self._alone_since: dict[str, float] = {}

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel if its page has gone; called for each kernel every `cull_interval` seconds."""
        await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]
        kernel = self._kernels.get(kernel_id)
        if kernel is None or self._kernel_connections.get(kernel_id) or kernel.execution_state == "busy":
            self._alone_since.pop(kernel_id, None)
            return
        alone = time.monotonic() - self._alone_since.setdefault(kernel_id, time.monotonic())
        if alone > self.cull_idle_timeout:
            self.log.warning("Ending kernel %s: no page was connected for %d seconds", kernel_id, alone)
            await self.shutdown_kernel(kernel_id)  # type: ignore[no-untyped-call]
