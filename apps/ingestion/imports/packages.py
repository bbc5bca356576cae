"""What an import carries, whatever it was read from."""

from __future__ import annotations

from ml.sdtm import Package as StudyPackage
from ml.tabular import TablePackage

Package = StudyPackage | TablePackage
