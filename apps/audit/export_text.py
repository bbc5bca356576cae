"""What people read of an export: the columns of its CSV, and how to verify it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "seq", "id", "at", "actor", "actor_type", "action", "object_type", "object_id", "trial", "before", "after", "reason",
    "correlation_id",
)  # fmt: skip


def csv_row(seq: int | str, event: Mapping[str, Any]) -> list[str]:
    """A record in canonical form, in the order of COLUMNS; before and after as JSON."""
    return [_cell(seq if name == "seq" else event[name]) for name in COLUMNS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | str):
        return str(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


README = """Export of an audit trail, and how to verify it
===============================================

You need Python 3.9 or newer and the one file tools/verify_audit.py of the platform's source. Nothing is installed, nothing
is sent, no network is used:

    python verify_audit.py this-export.zip

It says what holds, or names the record that was edited, deleted, inserted, moved or cut, and ends with status 0 or 1.

Two things it cannot know by itself. Ask for them over another way than the one this export came by:

  1. The key. Compare the fingerprint it prints with the one the operator publishes (the portal's audit page, /audit/key/):
         {fingerprint}
     or give the key:  --key public_key.txt
  2. That nothing was cut off together with the newest checkpoint. Give any checkpoint of this log that you trust and that
     was kept elsewhere (an anchor, an earlier export's, /audit/checkpoint/):  --checkpoint last.note

This export goes to record {size} (not included; the first is 0), signed at {at:%Y-%m-%d %H:%M:%S} UTC.

  events.jsonl       one record a line: seq (its place), leaf (its hash), event (what is hashed)
  events.csv         the same for people; a cell that would be a formula begins with an apostrophe
  leaves.txt         seq, leaf hash and id of every record of the log; of other trials' records the hash alone
  tree.bin           the whole Merkle tree, 32 bytes a node: each leaf, then the nodes it completes
  seals.bin          a signature a record, 64 bytes each, of "clinical-portal/audit-record", origin, seq and leaf, a line each:
                     where every list was rewritten alike, they still tell which record it was
  checkpoints.jsonl  signed notes: origin, size, root (base64), time; an Ed25519 signature
  public_key.txt     name + key id + base64(0x01, key)
  manifest.json      what belongs into this export; in_scope = zlib, a bit a record; ids = 16 bytes
                     a record; checkpoints = their sizes; manifest.note signs its SHA-256

A leaf is SHA-256(0x00, text), where text is the event as JSON: keys sorted, no spaces, UTF-8, every number a string.
A node is SHA-256(0x01, left, right); the tree is that of RFC 6962.
"""
