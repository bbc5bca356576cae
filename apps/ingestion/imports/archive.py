"""Unpacking an uploaded zip: what is harmless comes out, everything else is refused in a sentence.

What the zip says of itself is not believed: members are counted and measured while they are unpacked.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from apps.core.errors import Invalid

CHUNK = 1 << 20
BEGINS = b"PK\x03\x04"
WANTED = (".xpt", ".xml")
"""XPT files, and define.xml with its labels and codelists. Other files of a package (PDF, style sheets) stay inside."""
NESTED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar")
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db")
NAME_LENGTH = 200
SDTM = frozenset({"DM", "AE", "VS", "LB", "CM", "EX", "EC", "SV", "DS", "MH", "SC", "SE", "TA", "TE", "TI", "TS", "TV"})
"""Names by which the folder of an SDTM package is told from one of ADaM beside it."""
_RATIO_FLOOR = 10 * CHUNK  # small files of blanks shrink a thousandfold and harm nobody


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may come out of one zip. Bytes; `ratio` is bytes unpacked for one byte packed, of the whole zip."""

    members: int = 2_000
    member_bytes: int = 4 << 30
    total_bytes: int = 8 << 30
    ratio: int = 250


LIMITS = Limits()

RULES: dict[str, tuple[str, str]] = {
    "not_a_zip": ("The file is no zip archive, or it is damaged: {what}.", "Zip the folder of the package again."),
    "cut": ("The zip is cut off: it begins as one, and its end is missing.", "Zip the folder again, or send it again."),
    "encrypted": ("The zip is locked with a password ({what}).", "Zip the files without one; the connection is encrypted."),
    "too_many": ("The zip holds {what} files; {members:,} are the most.", "Zip the folder of one study alone."),
    "too_large": ("Unpacked, the zip holds more than {what}.", "Put it under the folder for imports instead of sending it."),
    "expands": (
        "The zip unpacks to more than {ratio} times its size, as no study's files do.",
        "Put the files under the folder for imports, or zip them again.",
    ),
    "leaves_folder": ("The zip names a file outside its own folder: {what}.", "Zip the folder again with an ordinary program."),
    "odd_name": ("The zip names a file in a way no system can keep: {what}.", "Rename the file and zip again."),
    "link": ("The zip holds a link instead of a file: {what}.", "Put the file itself into the zip."),
    "nested": ("The zip holds another archive: {what}.", "Unpack it and zip the files themselves."),
    "twice": ("The zip holds two files named {what}.", "Zip one study's folder alone."),
    "two_packages": ("The zip holds transport files in several folders: {what}.", "Zip the folder of one package alone."),
    "no_xpt": ("The zip holds no SAS transport file (*.xpt); files in it: {what}.", "Zip an SDTM package; send a table by itself."),
}  # fmt: skip
"""Why a zip is refused: the sentence, and what would mend it."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Files written flat into `folder`; `left` counts those that were not wanted."""

    folder: Path
    files: int
    left: int


def refusal(rule: str, what: object = "", limits: Limits = LIMITS) -> Invalid:
    """The sentence of a rule."""
    sentence, cure = RULES[rule]
    shown = sentence.format(what=what, members=limits.members, ratio=limits.ratio)
    return Invalid(shown, cure=cure, code=f"zip_{rule}")


def unpack(
    archive: Path,
    folder: Path,
    *,
    limits: Limits = LIMITS,
    report: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Unpacked:
    """Write the wanted files of a zip into `folder`, without folders. Invalid names the rule that the zip breaks."""
    if not zipfile.is_zipfile(archive):
        with archive.open("rb") as opened:
            begins = opened.read(len(BEGINS)) == BEGINS
        raise refusal("cut") if begins else refusal("not_a_zip", "it does not begin as one")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if not info.is_dir()]
            if len(members) > limits.members:
                raise refusal("too_many", f"{len(members):,}", limits)
            chosen = _chosen([info for info in members if _judge(info)])
            if not any(info.filename.lower().endswith(".xpt") for info in chosen):
                raise refusal("no_xpt", len(members))
            folder.mkdir(parents=True, exist_ok=True)
            meter = _Meter(archive.stat().st_size, limits)
            for number, info in enumerate(chosen):
                report(PurePosixPath(info.filename).name, number, len(chosen))
                _write(opened, info, folder, meter)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise refusal("not_a_zip", _plain(str(error)) or type(error).__name__) from error
    except RuntimeError as error:  # what zipfile raises for a locked member
        raise refusal("encrypted", _plain(str(error))) from error
    return Unpacked(folder, len(chosen), len(members) - len(chosen))


class _Meter:
    """Counts what comes out, whatever the zip's own headers say."""

    def __init__(self, packed: int, limits: Limits) -> None:
        self.packed, self.limits, self.total = max(1, packed), limits, 0

    def add(self, size: int, member: int) -> None:
        self.total += size
        if member > self.limits.member_bytes or self.total > self.limits.total_bytes:
            most = self.limits.member_bytes if member > self.limits.member_bytes else self.limits.total_bytes
            raise refusal("too_large", f"{most / (1 << 30):.3g} GiB", self.limits)
        if self.total > _RATIO_FLOOR and self.total > self.packed * self.limits.ratio:
            raise refusal("expands", limits=self.limits)


def _judge(info: zipfile.ZipInfo) -> bool:
    """Whether a member is wanted. Invalid where it must not be there at all."""
    name = getattr(info, "orig_filename", info.filename)
    if "\x00" in name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name) or len(name) > 4 * NAME_LENGTH:
        raise refusal("odd_name", _plain(name))
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise refusal("leaves_folder", _plain(name))
    if any(part in LITTER or part.startswith("._") for part in path.parts):
        return False
    if len(path.name) > NAME_LENGTH:
        raise refusal("odd_name", _plain(name))
    mode = info.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise refusal("link", _plain(name))
    if path.suffix.lower() in NESTED:
        raise refusal("nested", _plain(name))
    if info.flag_bits & 0x1:
        raise refusal("encrypted", _plain(name))
    return path.suffix.lower() in WANTED


def _chosen(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """The members of the one folder that is the package; an ADaM folder beside it is left alone."""
    folders: dict[str, list[zipfile.ZipInfo]] = {}
    for info in members:
        folders.setdefault(str(PurePosixPath(info.filename.replace("\\", "/")).parent), []).append(info)
    packages = {
        folder: found for folder, found in folders.items() if any(i.filename.lower().endswith(".xpt") for i in found)
    }
    if len(packages) > 1:
        tabulated = {folder: found for folder, found in packages.items() if _tabulations(found)}
        if len(tabulated) != 1:
            named = ", ".join(_plain(folder) for folder in sorted(tabulated or packages)[:4])
            raise refusal("two_packages", named)
        packages = tabulated
    chosen = next(iter(packages.values()), [])
    seen: set[str] = set()
    for info in chosen:
        name = PurePosixPath(info.filename.replace("\\", "/")).name.lower()
        if name in seen:
            raise refusal("twice", _plain(name))
        seen.add(name)
    return chosen


def _tabulations(members: list[zipfile.ZipInfo]) -> bool:
    """Whether one of the files is named as an SDTM domain is (dm.xpt; a split lbch.xpt)."""
    stems = {PurePosixPath(info.filename.replace("\\", "/")).stem.upper() for info in members}
    return any(stem in SDTM or (len(stem) == 4 and stem[:2] in SDTM) for stem in stems)


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, meter: _Meter) -> None:
    name = PurePosixPath(info.filename.replace("\\", "/")).name
    size = 0
    with opened.open(info) as source, (folder / name).open("xb") as target:
        while data := source.read(CHUNK):
            size += len(data)
            meter.add(len(data), size)
            target.write(data)


def _plain(text: str) -> str:
    """A name from a stranger, fit for a sentence: printable and short."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
