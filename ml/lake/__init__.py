"""The lake: every byte the platform keeps outside its database goes through here."""

from ml.lake.store import Lake, LakeError, ObjectInfo, ObjectMissing

__all__ = ["Lake", "LakeError", "ObjectInfo", "ObjectMissing"]
