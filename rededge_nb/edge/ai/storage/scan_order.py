"""The order in which AI._MODELSCAN and AI._SCRIPTSCAN list keys.

Nothing in this project depends on the order. RedisAI kept models and scripts in one hash table of Redis and listed them
in the order of its slots, and the test suite of the official client compares whole replies. We answer in the same order
so that this test suite passes unchanged; that is the only reason for this module.

The slot of a key is SipHash-1-2 of its name, with a key of 16 zero bytes, modulo the number of slots. There are 4 slots
at first and twice as many whenever all would be used. Within a slot the newest key comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_MIN_SLOTS = 4
_INITIAL_STATE = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
"""SipHash's constants: the text `somepseudorandomlygeneratedbytes`."""

_State = tuple[int, int, int, int]


def in_scan_order(oldest_first: Sequence[bytes]) -> list[bytes]:
    """Keys, given from the oldest to the newest, in the order of the hash table."""
    slots = _MIN_SLOTS
    while slots < len(oldest_first):
        slots *= 2
    newest_first = reversed(oldest_first)
    return sorted(newest_first, key=lambda key: siphash(key) % slots)  # a stable sort keeps the order within a slot


def siphash(data: bytes, key: bytes = bytes(16), *, word_rounds: int = 1, final_rounds: int = 2) -> int:
    """SipHash as in the paper by Aumasson and Bernstein, 2012 (https://www.aumasson.jp/siphash/siphash.pdf).

    Args:
        data: The message.
        key: 16 bytes.
        word_rounds: Rounds for each word of 8 bytes; SipHash-1-2, Redis's variant, has one.
        final_rounds: Rounds at the end.
    """
    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    a, b, c, d = (value ^ (low, high)[index % 2] for index, value in enumerate(_INITIAL_STATE))
    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[position : position + 8], "little") for position in range(0, whole, 8)]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for word in words:
        a, b, c, d = _rounds((a, b, c, d ^ word), word_rounds)
        a ^= word
    a, b, c, d = _rounds((a, b, c ^ 0xFF, d), final_rounds)
    return a ^ b ^ c ^ d


def _rounds(state: _State, count: int) -> _State:
    a, b, c, d = state
    for _ in range(count):
        a = (a + b) & _MASK
        c = (c + d) & _MASK
        b, d = _rotate(b, 13) ^ a, _rotate(d, 16) ^ c
        a = _rotate(a, 32)
        c = (c + b) & _MASK
        a = (a + d) & _MASK
        b, d = _rotate(b, 17) ^ c, _rotate(d, 21) ^ a
        c = _rotate(c, 32)
    return a, b, c, d


def _rotate(number: int, bits: int) -> int:
    return (number << bits | number >> (64 - bits)) & _MASK
