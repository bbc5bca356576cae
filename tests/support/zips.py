"""Zips as people send them, and as nobody should."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

XPT = b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!000000000000000000000000000000  "


def zipped(folder: Path, *, inside: str = "study/") -> bytes:
    """The files of a folder, as a zip with a folder inside."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.iterdir()):
            out.write(path, f"{inside}{path.name}")
    return body.getvalue()


def _made(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members:
            out.writestr(name, data)
    return body.getvalue()


def _link() -> bytes:
    info = zipfile.ZipInfo("dm.xpt")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return _made((info, b"/etc/passwd"))


def _nul() -> bytes:
    # the name is written twice, in the member and in the directory
    return _made(("dmXtxt.xpt", XPT)).replace(b"dmXtxt.xpt", b"dm\x00txt.xpt")


def _broken() -> bytes:
    body = bytearray(_made(("dm.xpt", bytes(range(256)) * 8)))
    body[60:80] = b"\xff" * 20
    return bytes(body)


def _locked() -> bytes:
    body = bytearray(_made(("dm.xpt", XPT)))
    body[6] |= 1
    body[body.index(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip at all": (lambda: b"this is a letter", "no zip archive"),
    "half a zip": (lambda: _made(("dm.xpt", XPT * 100))[:60], "is cut off"),
    "a broken member": (_broken, "no zip archive"),
    "nothing of ours": (lambda: _made(("readme.txt", b"hello")), "no SAS transport file"),
    "empty": (_made, "no SAS transport file"),
    "out of the folder": (lambda: _made(("../../dm.xpt", XPT)), "outside its own folder"),
    "out by backslashes": (lambda: _made(("..\\..\\dm.xpt", XPT)), "outside its own folder"),
    "an absolute name": (lambda: _made(("/etc/dm.xpt", XPT)), "outside its own folder"),
    "a drive": (lambda: _made(("C:/dm.xpt", XPT)), "outside its own folder"),
    "a link": (_link, "a link instead of a file"),
    "a zip in it": (lambda: _made(("dm.xpt", XPT), ("more.zip", _made(("vs.xpt", XPT)))), "another archive"),
    "a NUL in a name": (_nul, "no system can keep"),
    "a huge name": (lambda: _made((f"{'d' * 3000}.xpt", XPT)), "no system can keep"),
    "a password": (_locked, "locked with a password"),
    "two packages": (lambda: _made(("a/dm.xpt", XPT), ("b/dm.xpt", XPT)), "several folders"),
    "a file twice": (lambda: _made(("a/dm.xpt", XPT), ("a/DM.xpt", XPT)), "two files named dm.xpt"),
    "too many files": (lambda: _made(*((f"{number}.txt", b"") for number in range(2_100)), ("dm.xpt", XPT)), "2,101 files"),
    "a bomb": (lambda: _made(("dm.xpt", b"\x00" * (30 << 20))), "more than 250 times"),
}  # fmt: skip
"""What is wrong with it → the zip, and words of the sentence that refuses it."""
