"""How a widget notices that its page has gone."""

from __future__ import annotations

import asyncio

from rededge_nb.widgets.presence import PAGE_TIMEOUT, Presence


def test_only_the_time_counts_in_which_the_kernel_could_have_heard() -> None:
    async def kernel() -> None:
        presence = Presence()
        presence.wait(2 * PAGE_TIMEOUT)
        await asyncio.sleep(0)
        assert not presence.absent, "no page has ever shown it"
        presence.hear()
        for _ in range(9):  # while a cell runs, the kernel does nothing else
            presence.wait(PAGE_TIMEOUT / 2)
        await asyncio.sleep(0)
        assert not presence.absent
        for _ in range(2):
            presence.wait(PAGE_TIMEOUT / 2)
            await asyncio.sleep(0)
        assert presence.absent
        presence.hear()
        assert not presence.absent

    asyncio.run(kernel())


def test_without_a_kernel_nobody_is_absent() -> None:
    presence = Presence()
    presence.hear()
    presence.wait(2 * PAGE_TIMEOUT)
    assert not presence.absent
