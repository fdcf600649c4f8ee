"""The order of AI._MODELSCAN and AI._SCRIPTSCAN, and the SipHash that it is made of."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from rededge_nb.edge.ai.storage.scan_order import in_scan_order, siphash

# From the reference implementation (github.com/veorq/SipHash, vectors.h): SipHash-2-4 of 0, 1, 2 … n-1 with the key
# 00 01 … 0f, as little-endian bytes. That of 15 bytes is also the example in the paper's appendix.
PUBLISHED = {
    0: "310e0edd47db6f72",
    1: "fd67dc93c539f874",
    2: "5a4fa9d909806c0d",
    7: "37d1018bf50002ab",
    8: "6224939a79f5f593",
    15: "e545be4961ca29a1",
    16: "db9bc2577fcc2a3f",
    63: "724506eb4c328a95",
}
# Python hashes bytes with SipHash-1-3, and with a key of zeros if PYTHONHASHSEED is 0: an independent implementation
PYTHONS_HASH = "import sys; print(*(hash(bytes.fromhex(each)) for each in sys.argv[1:]))"


@pytest.mark.parametrize(("length", "expected"), PUBLISHED.items())
def test_siphash_2_4_gives_the_published_values(length: int, expected: str) -> None:
    value = siphash(bytes(range(length)), bytes(range(16)), word_rounds=2, final_rounds=4)
    assert value.to_bytes(8, "little").hex() == expected


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes with another algorithm")
def test_siphash_1_3_gives_the_values_of_python_itself() -> None:
    messages = [b"m", b"pt_model", b"yolo:model", *(bytes(range(length)) for length in range(1, 40))]
    done = subprocess.run(
        [sys.executable, "-c", PYTHONS_HASH, *(message.hex() for message in messages)],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [int(word) % 2**64 for word in done.stdout.split()]
    assert [siphash(message, word_rounds=1, final_rounds=3) for message in messages] == expected


def test_within_a_slot_the_newest_comes_first() -> None:
    slot = [key for key in (b"k%d" % n for n in range(100)) if siphash(key) % 4 == 0][:3]
    assert in_scan_order(slot) == slot[::-1]


def test_slots_ascend_and_double_when_all_would_be_used() -> None:
    keys = [b"k%d" % n for n in range(5)]
    for count, slots in ((4, 4), (5, 8)):
        places = [siphash(key) % slots for key in in_scan_order(keys[:count])]
        assert places == sorted(places)
    for ordered in itertools.permutations(keys[:3]):
        assert set(in_scan_order(ordered)) == set(keys[:3])


def test_the_orders_that_the_official_client_expects() -> None:
    # from its tests of scanning models and scripts
    assert in_scan_order([b"m", b"pt_model"]) == [b"pt_model", b"m"]
    assert in_scan_order([b"ket1", b"ket2"]) == [b"ket1", b"ket2"]
