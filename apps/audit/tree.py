"""The Merkle tree hash of RFC 6962, section 2.1. Pure functions, nothing of Django, so that a verifier can copy them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data), 32 bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The roots of the perfect subtrees of a growing log, left to right: all that appending and the root need.

    ``size`` leaves are in it; ``hashes`` has one 32-byte hash per bit set in ``size``, the largest subtree first.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError(f"A log of {size} leaves has {size.bit_count()} subtrees, not {len(self.hashes)}.")
        if any(len(digest) != 32 for digest in self.hashes):
            raise ValueError("A subtree's hash has 32 bytes.")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash (32 bytes; ValueError otherwise)."""
        if len(leaf) != 32:
            raise ValueError("A leaf hash has 32 bytes.")
        self.hashes.append(leaf)
        carried = self.size
        while carried & 1:  # each trailing one is a subtree of the size just completed
            right, left = self.hashes.pop(), self.hashes.pop()
            self.hashes.append(node_hash(left, right))
            carried >>= 1
        self.size += 1

    def root(self) -> bytes:
        """The root of all leaves so far; of none, SHA-256 of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        digest = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            digest = node_hash(left, digest)
        return digest


def root(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash over leaf hashes (32 bytes each), in order."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()
