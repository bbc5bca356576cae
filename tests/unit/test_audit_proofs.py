"""Proofs of inclusion and consistency: the cases of the published vectors, as properties over logs of every small size.

The vectors of transparency-dev/merkle take a good proof and damage it: wrong leaf, index or size one off, swapped roots, a
hash too few or too many (before, behind, doubled), a flipped bit, roots of the empty log, old size 0. Each such case is
drawn here for any log, not for the few the vectors hold. The verifier's own implementation is asked the same.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apps.audit import tree
from apps.audit.notes import Checkpoint, NoteError, SigningKey
from tools import verify_audit as stranger

LEAVES = [tree.leaf_hash(number.to_bytes(2, "big")) for number in range(300)]
sizes = st.integers(1, 260)


def root(size: int) -> bytes:
    return tree.root(LEAVES[:size])


@st.composite
def places(draw: Any) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def growths(draw: Any) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(1, size)), size


def by_the_stranger(leaf: bytes, index: int, size: int, proof: list[bytes], expected: bytes) -> bool:
    return stranger.root_by_path(leaf, index, size, proof) == expected


@given(places())
def test_a_good_proof_of_inclusion_holds(place: tuple[int, int]) -> None:
    index, size = place
    proof = tree.inclusion_proof(index, size, tree.roots_of(LEAVES))
    assert tree.verify_inclusion(LEAVES[index], index, size, proof, root(size))
    assert by_the_stranger(LEAVES[index], index, size, proof, root(size))
    assert len(proof) <= (size - 1).bit_length()


@given(growths())
def test_a_good_proof_of_consistency_holds(growth: tuple[int, int]) -> None:
    old, size = growth
    proof = tree.consistency_proof(old, size, tree.roots_of(LEAVES))
    assert tree.verify_consistency(old, size, proof, root(old), root(size))


def test_the_proofs_of_the_standards_own_example() -> None:
    """RFC 6962, section 2.1.3: seven leaves d0 … d6, nodes a … l as drawn there."""
    d = LEAVES[:7]
    a, b, c, e, f, j = d[0], d[1], d[2], d[4], d[5], d[6]
    g, h, i = tree.node_hash(a, b), tree.node_hash(c, d[3]), tree.node_hash(e, f)
    k, last = tree.node_hash(g, h), tree.node_hash(i, j)
    of = tree.roots_of(d)
    assert tree.inclusion_proof(0, 7, of) == [b, h, last]
    assert tree.inclusion_proof(3, 7, of) == [c, g, last]
    assert tree.inclusion_proof(4, 7, of) == [f, j, k]
    assert tree.inclusion_proof(6, 7, of) == [i, k]
    assert tree.consistency_proof(3, 7, of) == [c, d[3], g, last]
    assert tree.consistency_proof(4, 7, of) == [last]
    assert tree.consistency_proof(6, 7, of) == [i, j, k]


Damage = Callable[[list[bytes], int, int], list[bytes]]
OTHER = tree.leaf_hash(b"other")
#: What is done to the hashes of a proof; the two numbers say where, as far as the damage has a place.
DAMAGES: dict[str, Damage] = {
    "a bit flipped": lambda proof, at, bit: [
        bytes(byte ^ (1 << bit % 8 if place == bit // 8 else 0) for place, byte in enumerate(one))
        if number == at
        else one
        for number, one in enumerate(proof)
    ],
    "the first hash gone": lambda proof, at, bit: proof[1:],
    "the last hash gone": lambda proof, at, bit: proof[:-1],
    "a hash within gone": lambda proof, at, bit: proof[:at] + proof[at + 1 :],
    "all hashes gone": lambda proof, at, bit: [],
    "a hash before": lambda proof, at, bit: [OTHER, *proof],
    "a hash behind": lambda proof, at, bit: [*proof, OTHER],
    "an empty hash behind": lambda proof, at, bit: [*proof, b""],
    "a root behind": lambda proof, at, bit: [*proof, root(5)],
    "a hash twice": lambda proof, at, bit: [*proof[: at + 1], *proof[at:]],
    "the whole twice": lambda proof, at, bit: proof * 2,
    "two hashes exchanged": lambda proof, at, bit: [
        proof[(at + 1) % len(proof)] if number == at else proof[at] if number == (at + 1) % len(proof) else one
        for number, one in enumerate(proof)
    ],
    "another order": lambda proof, at, bit: proof[::-1],
    "a short hash": lambda proof, at, bit: [one[:-1] if number == at else one for number, one in enumerate(proof)],
    "a long hash": lambda proof, at, bit: [one + b"\0" if number == at else one for number, one in enumerate(proof)],
}


def damaged(proof: list[bytes], damage: str, at: int, bit: int) -> list[bytes]:
    changed = DAMAGES[damage](proof, at % len(proof), bit) if proof else [OTHER]
    assume(changed != proof)
    return changed


@pytest.mark.parametrize("damage", DAMAGES)
@settings(max_examples=40)
@given(place=places(), at=st.integers(0, 20), bit=st.integers(0, 255))
def test_a_damaged_proof_of_inclusion_is_refused(damage: str, place: tuple[int, int], at: int, bit: int) -> None:
    index, size = place
    bad = damaged(tree.inclusion_proof(index, size, tree.roots_of(LEAVES)), damage, at, bit)
    assert not tree.verify_inclusion(LEAVES[index], index, size, bad, root(size))
    assert not by_the_stranger(LEAVES[index], index, size, bad, root(size))


@pytest.mark.parametrize("damage", DAMAGES)
@settings(max_examples=40)
@given(growth=growths(), at=st.integers(0, 20), bit=st.integers(0, 255))
def test_a_damaged_proof_of_consistency_is_refused(damage: str, growth: tuple[int, int], at: int, bit: int) -> None:
    old, size = growth
    bad = damaged(tree.consistency_proof(old, size, tree.roots_of(LEAVES)), damage, at, bit)
    assert not tree.verify_consistency(old, size, bad, root(old), root(size))


@given(places(), st.integers(-2, 2), st.integers(-2, 2), st.integers(1, 299))
def test_a_proof_of_inclusion_speaks_of_one_leaf_place_size_and_root(
    place: tuple[int, int], index_off: int, size_off: int, other: int
) -> None:
    index, size = place
    proof = tree.inclusion_proof(index, size, tree.roots_of(LEAVES))
    leaf, expected = LEAVES[index], root(size)
    for wrong in (LEAVES[(index + other) % 300], expected, tree.EMPTY_ROOT, leaf[:-1], b"", tree.leaf_hash(leaf)):
        if wrong != leaf:
            assert not tree.verify_inclusion(wrong, index, size, proof, expected)
    for wrong in (root(size + 1), tree.EMPTY_ROOT, b"", expected[:-1], bytes(32)):
        assert not tree.verify_inclusion(leaf, index, size, proof, wrong)
    for wrong in (index ^ 1, index + 2**33, -1, size, index + index_off):
        if wrong != index:
            assert not tree.verify_inclusion(leaf, wrong, size, proof, expected)
    for wrong in (0, index, 2 * size + 2, -size, size + size_off):
        # the same path may be right in a larger tree's shape, but then not with this root
        if wrong != size and not (wrong > 0 and root_shape(index, wrong) == root_shape(index, size)):
            assert not tree.verify_inclusion(leaf, index, wrong, proof, expected)


def root_shape(index: int, size: int) -> tuple[bool, ...]:
    """On which sides the hashes of a path stand: sizes that give the same cannot be told apart by one path alone."""
    if not 0 <= index < size or size == 1:
        return ()
    middle = tree.split(size)
    if index < middle:
        return (*root_shape(index, middle), True)
    return (*root_shape(index - middle, size - middle), False)


@given(growths(), st.integers(-2, 2))
def test_a_proof_of_consistency_speaks_of_two_sizes_and_two_roots(growth: tuple[int, int], off: int) -> None:
    old, size = growth
    proof = tree.consistency_proof(old, size, tree.roots_of(LEAVES))
    before, after = root(old), root(size)
    assert not tree.verify_consistency(0, size, proof, tree.EMPTY_ROOT, after), "from nothing nothing can be shown"
    assert not tree.verify_consistency(0, size, [], tree.EMPTY_ROOT, after)
    assert not tree.verify_consistency(0, 0, [], tree.EMPTY_ROOT, tree.EMPTY_ROOT)
    assert not tree.verify_consistency(size + 1, size, proof, root(size + 1), after), "a log does not shrink"
    if old != size:
        assert not tree.verify_consistency(old, size, proof, after, before), "swapped roots"
        assert not tree.verify_consistency(old, size, [], before, after)
        assert not tree.verify_consistency(size, old, proof, after, before)
        assert not tree.verify_consistency(old, size, proof, before, before)
        assert not tree.verify_consistency(old, size, proof, after, after)
    for wrong in (root(old + 1), tree.EMPTY_ROOT, b"", before[:-1], bytes(32)):
        assert not tree.verify_consistency(old, size, proof, wrong, after)
    for wrong in (root(size + 1), tree.EMPTY_ROOT, b"", after[:-1], bytes(32)):
        assert not tree.verify_consistency(old, size, proof, before, wrong)
    if off and old + off != size:
        assert not tree.verify_consistency(old + off, size, proof, before, after) or not proof


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_strangers_tree_is_ours(leaves: list[bytes]) -> None:
    ours, theirs = tree.CompactRange(), stranger.Tree()
    for leaf in leaves:
        assert ours.append(leaf) == theirs.add(leaf)
    assert ours.root() == theirs.root()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        tree.inclusion_proof(index, size, tree.roots_of(LEAVES))
    with pytest.raises(ValueError, match="beginning"):
        tree.consistency_proof(0 if size else 1, size, tree.roots_of(LEAVES))


#: RFC 8032, section 7.1: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_strangers_ed25519_on_the_standards_vectors(key: str, message: str, signature: str) -> None:
    known, text, signed = (bytes.fromhex(one) for one in (key, message, signature))
    assert stranger.ed25519_verify(known, signed, text)
    assert not stranger.ed25519_verify(known, signed, text + b"\0")
    order = stranger.L.to_bytes(32, "little")
    larger = (int.from_bytes(signed[32:], "little") + int.from_bytes(order, "little")).to_bytes(32, "little")
    assert not stranger.ed25519_verify(known, signed[:32] + larger, text), "the same signature in a second form"


@settings(max_examples=25, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=80), bit=st.integers(0, 511))
def test_the_strangers_ed25519_agrees_with_cryptography(seed: bytes, message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert stranger.ed25519_verify(public, signature, message)
    for candidate in (bytes(flipped), signature[::-1], bytes(64)):
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(candidate, message)
            expected = True
        except InvalidSignature:
            expected = False
        assert stranger.ed25519_verify(public, candidate, message) == expected


KEY = SigningKey(base64.b64encode(bytes(range(32))).decode())


def test_a_note_is_read_by_us_and_by_the_stranger() -> None:
    made = Checkpoint("clinical-portal/audit/x/1", 7, root(7), "2026-11-23T12:00:00.000000Z")
    note = KEY.sign(made.text)
    assert Checkpoint.parse(KEY.public.open(note)) == made
    raw = stranger.read_key(KEY.public.text)
    assert raw == KEY.public.raw
    assert stranger.read_checkpoint(note, raw) == (made.origin, 7, root(7), made.at)


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n7\n", "\n8\n"), ("x/1", "x/2"), (":00.0", ":01.0"), ("\n\n", "\n"), ("clinical-portal/audit ", "else ")],
)
def test_a_changed_note_is_refused_by_both(old: str, new: str) -> None:
    note = KEY.sign(Checkpoint("clinical-portal/audit/x/1", 7, root(7), "2026-11-23T12:00:00.000000Z").text)
    assert old in note
    with pytest.raises(NoteError):
        KEY.public.open(note.replace(old, new))
    assert stranger.open_note(note.replace(old, new), KEY.public.raw) is None


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(bytes(31)).decode(), "ä" * 44])
def test_a_signing_key_is_32_bytes(text: str) -> None:
    with pytest.raises(NoteError):
        SigningKey(text)


@pytest.mark.parametrize("text", ["a\n\nb\n", "no end"])
def test_what_would_be_two_notes_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        KEY.sign(text)


@pytest.mark.parametrize(
    "text", ["", "a\n1\n!\n2026-01-01T00:00:00Z\n", "a\n-1\n" + "A" * 43 + "=\nx\n", "a\nb\nc\nd\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)
