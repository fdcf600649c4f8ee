from __future__ import annotations

import itertools

from rededge_nb.edge.ai.storage.scan_order import in_scan_order, siphash_1_2


def test_the_hash_depends_on_every_byte_and_on_the_length() -> None:
    data = bytes(range(17))
    variants = {data[:size] for size in range(18)} | {bytes([*data[:at], 99, *data[at + 1 :]]) for at in range(17)}
    assert len({siphash_1_2(variant) for variant in variants}) == len(variants)
    assert all(0 <= siphash_1_2(variant) < 1 << 64 for variant in variants)


def test_within_a_slot_the_newest_comes_first() -> None:
    slot = [key for key in (b"k%d" % n for n in range(100)) if siphash_1_2(key) % 4 == 0][:3]
    assert in_scan_order(slot) == slot[::-1]


def test_slots_ascend_and_double_when_all_would_be_taken() -> None:
    keys = [b"k%d" % n for n in range(5)]
    for count, slots in ((4, 4), (5, 8)):
        places = [siphash_1_2(key) % slots for key in in_scan_order(keys[:count])]
        assert places == sorted(places)
    for ordered in itertools.permutations(keys[:3]):
        assert set(in_scan_order(ordered)) == set(keys[:3])


def test_the_orders_that_clients_pin() -> None:
    # those of the official client's tests for scanning models and scripts
    assert in_scan_order([b"m", b"pt_model"]) == [b"pt_model", b"m"]
    assert in_scan_order([b"ket1", b"ket2"]) == [b"ket1", b"ket2"]
