"""JSON in, strictly: UTF-8, no NaN, no bottomless nesting, of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from apps.core.problems import TooLarge

MAX_BODY_BYTES = 64 * 1024


class StrictJsonParser(BaseParser):
    """One JSON document of at most MAX_BODY_BYTES. ParseError for anything that is no JSON, TooLarge above the limit."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(
                f"The body has more than {MAX_BODY_BYTES // 1024} KiB.",
                cure="Send one patient and one timestamp a request.",
            )
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError("The body is not JSON in UTF-8.") from error
