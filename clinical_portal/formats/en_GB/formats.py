"""British English, with the clock of a trial."""

DATE_FORMAT = "j M Y"
SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "j M Y H:i:s e"
SHORT_DATETIME_FORMAT = "j M Y H:i e"
