"""Canonical text and the Merkle tree, checked against values that others published or that are worked by hand."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit import actions, canonical, tree
from apps.audit.actors import Actor
from apps.core.errors import Invalid

#: Certificate Transparency's reference inputs and roots (RFC 6962 test vectors of the Go and C++ implementations).
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_published_vectors(size: int) -> None:
    leaves = [tree.leaf_hash(bytes.fromhex(text)) for text in LEAVES[:size]]
    assert tree.root(leaves).hex() == ROOTS[size]


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70), st.integers(0, 70))
def test_the_growing_root_is_the_recursive_one_and_can_be_resumed(leaves: list[bytes], pause: int) -> None:
    assert tree.root(leaves) == plain_root(leaves)
    first = tree.CompactRange()
    for leaf in leaves[:pause]:
        first.append(leaf)
    resumed = tree.CompactRange(first.size, first.hashes)
    for leaf in leaves[pause:]:
        resumed.append(leaf)
    assert resumed.root() == plain_root(leaves)


def test_a_tree_refuses_what_is_no_hash() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        tree.CompactRange().append(b"short")
    with pytest.raises(ValueError, match="subtrees"):
        tree.CompactRange(3, [b"\x00" * 32])


def test_the_canonical_form_worked_by_hand() -> None:
    value = {
        "b": 7,
        "a": [1.5, 0.1, Decimal("2.50"), True, None],
        "at": datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "raw": b"\x00\xff",
        "id": uuid.UUID(int=1),
        "é": "µ\x00",
    }
    assert canonical.encode(value).decode() == (
        '{"a":["1.5","0.1","2.50",true,null],"at":"2026-01-02T03:04:05.000060Z","b":"7","day":"2026-01-02",'
        '"id":"00000000-0000-0000-0000-000000000001","raw":"00ff","é":"µ␀"}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), datetime(2026, 1, 1), object()])  # noqa: DTZ001
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        canonical.encode({"x": value})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_what_was_normalised_normalises_to_itself_and_survives_json(value: object) -> None:
    once = canonical.normalise(value)
    assert canonical.normalise(once) == once
    assert canonical.encode(json.loads(canonical.encode(value))) == canonical.encode(value)


def test_actions_are_named_after_their_area_and_read_as_sentences() -> None:
    for name, action in actions.ACTIONS.items():
        assert name.count(".") == 1
        assert action.sentence[0].islower()
        assert action.by
        assert action.object_type.count(".") == 1


@pytest.mark.parametrize("name", ["", "Live Loop", "x\n", "a" * 101])
def test_a_process_has_a_plain_name(name: str) -> None:
    with pytest.raises(Invalid):
        Actor.process(name)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_the_canonical_text_is_the_standard_librarys(value: object) -> None:
    plain = json.dumps(canonical.normalise(value), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert canonical.encode(value) == plain
