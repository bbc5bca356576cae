"""Files that people send: written to disk as they arrive, and counted while they do.

The one upload handler of the portal. A page that takes a file says so (``takes_files``); whatever is sent to any other
page, or by somebody who is not signed in, is read to its end and forgotten.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile

from apps.ingestion.imports import places


class Sent(UploadedFile):
    """A file that has arrived: `folder` is its own, `path` the file. `too_large` = it went over the limit and is empty."""

    def __init__(self, *, folder: Path, path: Path, too_large: bool, **facts: Any) -> None:
        super().__init__(file=path.open("rb"), **facts)
        self.folder, self.path, self.too_large = folder, path, too_large

    def discard(self) -> None:
        """Take it away again."""
        self.close()
        places.remove(str(self.folder))


class Incoming(FileUploadHandler):
    """Streams into a folder of its own under `VAR_DIR/imports`."""

    chunk_size = 1 << 20
    written: Any = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if not self._wanted():
            raise SkipFile
        self.folder = places.sent_folder() / uuid.uuid4().hex
        self.folder.mkdir(mode=0o700)
        self.path = self.folder / "sent"
        self.size, self.too_large = 0, False
        self.written = self.path.open("xb")

    def _wanted(self) -> bool:
        request = self.request
        found = getattr(request, "resolver_match", None)
        page = getattr(getattr(found, "func", None), "view_class", None)
        user = getattr(request, "user", None)
        return bool(getattr(page, "takes_files", False) and user is not None and user.is_authenticated)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:  # noqa: ARG002
        self.size += len(raw_data)
        if self.size > places.UPLOAD_BYTES:
            if not self.too_large:
                self.too_large = True
                self.written.truncate(0)
            return
        self.written.write(raw_data)

    def file_complete(self, file_size: int) -> Sent:
        self.written.close()
        self.written = None
        return Sent(
            folder=self.folder, path=self.path, too_large=self.too_large, name=self.file_name or "",
            content_type=self.content_type, size=file_size, charset=self.charset,
        )  # fmt: skip

    def upload_interrupted(self) -> None:
        if self.written is not None:
            self.written.close()
            shutil.rmtree(self.folder, ignore_errors=True)
