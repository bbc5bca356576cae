"""How the programs of a pipeline end, beside 0 (done) and 1 (failed)."""

from __future__ import annotations

TOO_LITTLE = 65
"""There is not enough data for it (EX_DATAERR of sysexits.h): nothing is broken, and another run would end the same way."""
