"""The Merkle tree of RFC 6962: its root while it grows, and proofs of inclusion and consistency. Pure functions.

``tools/verify_audit.py`` holds an implementation of its own, so that a fault here is not repeated where it is looked for;
the tests compare the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

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

    def append(self, leaf: bytes) -> list[bytes]:
        """Add one leaf hash (32 bytes; ValueError otherwise).

        Returns the roots of the perfect subtrees that it completes: of 2 leaves, of 4, …; none for an even place.
        """
        if len(leaf) != 32:
            raise ValueError("A leaf hash has 32 bytes.")
        self.hashes.append(leaf)
        completed = []
        carried = self.size
        while carried & 1:  # each trailing one is a subtree of the size just completed
            right, left = self.hashes.pop(), self.hashes.pop()
            self.hashes.append(node_hash(left, right))
            completed.append(self.hashes[-1])
            carried >>= 1
        self.size += 1
        return completed

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


RootOf = Callable[[int, int], bytes]
"""root_of(start, end): the tree hash of the leaves start, …, end − 1."""


def roots_of(leaves: Sequence[bytes]) -> RootOf:
    """``root_of`` over leaf hashes at hand."""
    return lambda start, end: root(leaves[start:end])


def split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2): where RFC 6962 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(index: int, size: int, root_of: RootOf) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root of ``size`` leaves (RFC 6962, 2.1.1), nearest first.

    ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"A log of {size} leaves has no leaf {index}.")
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            proof.append(root_of(middle, end))
            end = middle
        else:
            proof.append(root_of(start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, size: int, root_of: RootOf) -> list[bytes]:
    """The hashes that show the first ``old`` leaves to be the beginning of all ``size`` (RFC 6962, 2.1.2).

    ValueError unless 0 < old <= size: of a log without leaves there is nothing to show.
    """
    if not 0 < old <= size:
        raise ValueError(f"Nothing can show that {old} leaves are the beginning of {size}.")
    proof, start, end, whole = [], 0, size, True
    while old != end:
        middle = start + split(end - start)
        if old <= middle:
            proof.append(root_of(middle, end))
            end = middle
        else:
            proof.append(root_of(start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(root_of(start, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether the proof leads from the leaf hash at ``index`` to the root of ``size`` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or any(len(one) != 32 for one in (leaf, expected, *proof)):
        return False
    here, last, digest = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            digest = node_hash(other, digest)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            digest = node_hash(digest, other)
        here, last = here >> 1, last >> 1
    return last == 0 and digest == expected


def verify_consistency(old: int, size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the proof shows that the log of ``old`` leaves is the beginning of that of ``size`` (RFC 9162, 2.1.4.2).

    From a log without leaves nothing can be shown, so ``old`` 0 is refused.
    """
    if not 0 < old <= size or any(len(one) != 32 for one in (old_root, new_root, *proof)):
        return False
    if old == size:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not path or not proof:
        return False
    here, last = old - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    before = after = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            before, after = node_hash(other, before), node_hash(other, after)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            after = node_hash(after, other)
        here, last = here >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
