"""The order of AI._MODELSCAN and AI._SCRIPTSCAN: that of the hash table in which RedisAI kept both kinds of keys.

Clients' tests pin it, odd as it is. A key's slot is SipHash-1-2 of its name with a key of zeros; there are four slots
at first, and twice as many whenever all would be taken; within a slot the newest comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_FEWEST_SLOTS = 4
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def in_scan_order(oldest_first: Sequence[bytes]) -> list[bytes]:
    """Keys, given by age, as the table would list them."""
    slots = _FEWEST_SLOTS
    while slots < len(oldest_first):
        slots *= 2
    newest_first = reversed(oldest_first)
    return sorted(newest_first, key=lambda key: siphash_1_2(key) % slots)  # sorting keeps the order within a slot


def siphash_1_2(data: bytes) -> int:
    """SipHash with one round for each word and two at the end, keyed with zeros."""
    state = _START
    whole = len(data) - len(data) % 8
    for position in range(0, whole, 8):
        state = _absorbed(state, int.from_bytes(data[position : position + 8], "little"))
    state = _absorbed(state, (len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    a, b, c, d = state
    state = _round(_round((a, b, c ^ 0xFF, d)))
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _absorbed(state: tuple[int, int, int, int], word: int) -> tuple[int, int, int, int]:
    a, b, c, d = state
    a, b, c, d = _round((a, b, c, d ^ word))
    return a ^ word, b, c, d


def _round(state: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    a = (a + b) & _MASK
    c = (c + d) & _MASK
    b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
    a = _rotated(a, 32)
    c = (c + b) & _MASK
    a = (a + d) & _MASK
    b, d = _rotated(b, 17) ^ c, _rotated(d, 21) ^ a
    return a, b, _rotated(c, 32), d


def _rotated(number: int, bits: int) -> int:
    return (number << bits | number >> (64 - bits)) & _MASK
