"""The only door to the object store: local folders, S3 and memory behind one small interface.

Three things are promised, on every kind of store:

* ``create`` makes an object only if none is there; of racing writers exactly one wins, and a reader sees either
  nothing or the whole object;
* ``put`` replaces whole objects; ``get`` and ``list`` see everything that was written before they were called;
* on a local folder a returned write has reached the disk (file and folder are fsynced).

Settings come as arguments; nothing here reads the environment. A ``Lake`` may be pickled and survives a fork.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError
from obstore.store import MemoryStore, S3Store

#: S3 says 409 when two conditional writes meet; we try again for about this long before giving up.
CONFLICT_SECONDS = 30.0
_HIDDEN = "."  # our own unfinished files begin with a dot; no object's name may
_CONFLICT = re.compile(r"\b409\b|conflict", re.IGNORECASE)


class LakeError(Exception):
    """The object store could not do what was asked."""


class ObjectMissing(LakeError, KeyError):
    """There is no object of that name."""

    def __str__(self) -> str:
        return f"There is no object {self.args[0]!r} in the lake."


class ObjectInfo(NamedTuple):
    """One listed object: its path inside the lake and its size in bytes."""

    path: str
    size: int


class _Store(Protocol):
    def create(self, path: str, data: bytes) -> bool: ...
    def put(self, path: str, data: bytes) -> None: ...
    def get(self, path: str) -> bytes: ...
    def get_range(self, path: str, start: int, length: int) -> bytes: ...
    def list(self, prefix: str, after: str) -> Iterator[ObjectInfo]: ...
    def exists(self, path: str) -> bool: ...
    def delete(self, path: str) -> None: ...


def _clean(path: str) -> str:
    parts = path.split("/")
    if not path or any(not part or part.startswith(_HIDDEN) for part in parts) or "\\" in path or "\0" in path:
        raise LakeError(f"{path!r} is not the name of an object: use names like 'raw/topic/file.json'.")
    return path


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _LocalStore:
    """A folder. ``create`` is temporary file, fsync, link: the link is what fails when the name is taken."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: set[Path] = set()

    def _prepare(self, path: str) -> Path:
        target = self.root / path
        folder = target.parent
        if folder not in self._folders or not folder.is_dir():
            fresh = []
            step = folder
            while not step.is_dir():
                fresh.append(step)
                step = step.parent
            folder.mkdir(parents=True, exist_ok=True)
            for made in fresh:  # a new folder is only durable once its parent is
                _sync_folder(made.parent)
            self._folders.add(folder)
        return target

    def _temporary(self, target: Path, data: bytes) -> Path:
        temporary = target.parent / f"{_HIDDEN}{uuid.uuid4().hex}.part"
        with temporary.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        return temporary

    def create(self, path: str, data: bytes) -> bool:
        target = self._prepare(path)
        temporary = self._temporary(target, data)
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return True

    def put(self, path: str, data: bytes) -> None:
        target = self._prepare(path)
        temporary = self._temporary(target, data)
        try:
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def get(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectMissing(path) from None

    def get_range(self, path: str, start: int, length: int) -> bytes:
        try:
            with (self.root / path).open("rb") as handle:
                return os.pread(handle.fileno(), length, start)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectMissing(path) from None

    def list(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        base, _, _ = prefix.rpartition("/")
        found: list[ObjectInfo] = []
        stack = [base]
        while stack:
            folder = stack.pop()
            try:
                entries = os.scandir(self.root / folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            with entries:
                for entry in entries:
                    if entry.name.startswith(_HIDDEN):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir():
                        if path.startswith(prefix) or prefix.startswith(f"{path}/"):
                            stack.append(path)
                    elif path.startswith(prefix) and path > after:
                        found.append(ObjectInfo(path, entry.stat().st_size))
        yield from sorted(found)

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)


class _ObjectStore:
    """S3 or memory through obstore."""

    def __init__(self, store: Any, prefix: str) -> None:
        self.store = store
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def create(self, path: str, data: bytes) -> bool:
        name = self.prefix + path
        end = time.monotonic() + CONFLICT_SECONDS
        pause = 0.02
        while True:
            try:
                obstore.put(self.store, name, data, mode="create", use_multipart=False)
                return True
            except (AlreadyExistsError, PreconditionError):
                # 412 means: taken. 409 means: another conditional write is under way, nobody has won yet. The library
                # reports both alike, so the store itself is asked; only an object that is there counts as taken.
                if self.exists(path):
                    return False
            except GenericError as error:
                if not _CONFLICT.search(str(error)):
                    raise LakeError(f"The object store refused to create {path}: {error}") from error
                if self.exists(path):
                    return False
            if time.monotonic() > end:
                raise LakeError(
                    f"The object store kept answering 'conflict' for {path}; try again, or check its versioning rules."
                )
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def put(self, path: str, data: bytes) -> None:
        obstore.put(self.store, self.prefix + path, data)

    def get(self, path: str) -> bytes:
        try:
            return obstore.get(self.store, self.prefix + path).bytes().to_bytes()
        except FileNotFoundError:
            raise ObjectMissing(path) from None

    def get_range(self, path: str, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        try:
            return obstore.get_range(self.store, self.prefix + path, start=start, length=length).to_bytes()
        except FileNotFoundError:
            raise ObjectMissing(path) from None

    def list(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        # obstore lists by whole folders; a prefix that ends inside a name is filtered here
        folder, _, _ = (self.prefix + prefix).rpartition("/")
        found = []
        offset = self.prefix + after if after else None
        for chunk in obstore.list(self.store, folder or None, offset=offset):
            for item in chunk:
                path = item["path"][len(self.prefix) :]
                if path.startswith(prefix):
                    found.append(ObjectInfo(path, item["size"]))
        yield from sorted(found)

    def exists(self, path: str) -> bool:
        try:
            obstore.head(self.store, self.prefix + path)
        except FileNotFoundError:
            return False
        return True

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(self.store, self.prefix + path)


_MEMORY: dict[str, MemoryStore] = {}


@dataclass(frozen=True)
class Lake:
    """One object store; build it with :meth:`from_url`."""

    url: str
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"

    @classmethod
    def from_url(
        cls,
        url: str | os.PathLike[str],
        *,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str = "us-east-1",
    ) -> Lake:
        """The lake at ``url``: a folder (``/data/lake``, ``file:///data/lake``), ``s3://bucket/prefix`` or ``memory://name``.

        The other arguments matter for S3 only: ``endpoint`` for anything but AWS (``http://`` is allowed there), the
        two keys, or none of them to use the machine's own role.
        """
        text = os.fspath(url)
        if "://" not in text:
            text = Path(text).absolute().as_uri()
        if urlsplit(text).scheme not in ("file", "s3", "memory"):
            raise LakeError(f"LAKE_URL is {text!r}; it must be a folder, file:///…, or s3://bucket/prefix.")
        return cls(text, endpoint or None, access_key or None, secret_key or None, region)

    def _store(self) -> _Store:
        cached: tuple[int, _Store] | None = self.__dict__.get("_open")
        if cached is not None and cached[0] == os.getpid():
            return cached[1]
        store = self._connect()
        # a client made before a fork hangs in the child: each process opens its own
        object.__setattr__(self, "_open", (os.getpid(), store))
        return store

    def _connect(self) -> _Store:
        parts = urlsplit(self.url)
        if parts.scheme == "file":
            return _LocalStore(Path(unquote(parts.path)))
        if parts.scheme == "memory":
            return _ObjectStore(_MEMORY.setdefault(self.url, MemoryStore()), "")
        options: dict[str, Any] = {"region": self.region, "conditional_put": "etag"}
        if self.endpoint:
            options["endpoint"] = self.endpoint
            options["virtual_hosted_style_request"] = False
        if self.access_key and self.secret_key:
            options["access_key_id"] = self.access_key
            options["secret_access_key"] = self.secret_key
        plain = bool(self.endpoint and self.endpoint.startswith("http://"))
        client = {"allow_http": plain, "timeout": "60s"}
        return _ObjectStore(S3Store(parts.netloc, client_options=client, **options), parts.path)  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}

    def create(self, path: str, data: bytes) -> bool:
        """Write ``data`` under ``path`` only if nothing is there. True = written by us, False = the name is taken."""
        return self._store().create(_clean(path), data)

    def put(self, path: str, data: bytes) -> None:
        """Write ``data`` under ``path``, replacing what was there."""
        self._store().put(_clean(path), data)

    def get(self, path: str) -> bytes:
        """The bytes of an object; :class:`ObjectMissing` where there is none."""
        return self._store().get(_clean(path))

    def get_range(self, path: str, start: int, length: int) -> bytes:
        """``length`` bytes of an object from byte ``start`` on."""
        return self._store().get_range(_clean(path), start, length)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose path begins with ``prefix`` and sorts behind ``after``, in the order of their paths."""
        return self._store().list(prefix, after)

    def exists(self, path: str) -> bool:
        """Whether there is an object of that name."""
        return self._store().exists(_clean(path))

    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is no error."""
        self._store().delete(_clean(path))

    def local_path(self, path: str) -> Path | None:
        """Where the object lies on this machine's disk, or None where the lake is not a folder."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) / path if parts.scheme == "file" else None
