"""The groupings in which a model is judged beside its whole: age, sex, site and time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.training.data import TrainingData

AGE_BANDS = ((50.0, "under 50"), (65.0, "50 to 64"), (75.0, "65 to 74"), (np.inf, "75 and over"))


def groups_of(data: TrainingData) -> dict[str, NDArray[np.str_]]:
    """Groupings of the rows: age band and sex (from the features), site, and half of the period (by as-of time)."""
    age, sex = data.column("age"), data.column("sex")
    band = np.searchsorted([limit for limit, _ in AGE_BANDS], np.nan_to_num(age, nan=-1.0), side="right")
    words = np.array([word for _, word in AGE_BANDS])[np.minimum(band, len(AGE_BANDS) - 1)]
    middle = (int(data.as_of.min()) + int(data.as_of.max())) // 2
    return {
        "age": np.where(np.isfinite(age), words, "not known"),
        "sex": np.where(sex == 0, "female", np.where(sex == 1, "male", "not known")),
        "site": data.site,
        "period": np.where(data.as_of <= middle, "first half", "second half"),
    }
