"""The Spark session: local by default, a cluster by naming its master."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from spark_jobs.settings import JobError, Settings

CONFIGURATION = {
    # Without the second compiler short jobs take a third less.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "8",
    # Groups are few and of known size: one task each beats what adaptive execution would merge.
    "spark.sql.adaptive.enabled": "false",
    # A row of a shuffled frame carries a whole packed table.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
    "spark.sql.execution.arrow.useLargeVarTypes": "true",
    "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
_LOCAL_ONLY = ("spark.driver.host", "spark.driver.bindAddress")
_LOGGING = """
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %p %c{1}: %m%n%ex{3}
"""


@contextmanager
def session(settings: Settings, name: str) -> Iterator[SparkSession]:
    """A session for one job. One that is open already is used and left open: then its opener ends it."""
    standing = SparkSession.getActiveSession()
    if standing is not None:
        yield standing
        return
    opened = open_session(settings, name)
    try:
        yield opened
    finally:
        opened.stop()


def open_session(settings: Settings, name: str) -> SparkSession:
    """A session on `settings.master`. JobError where there is no Java or the master does not answer."""
    if settings.java_home:
        os.environ["JAVA_HOME"] = settings.java_home  # Spark's launcher looks for it there and nowhere else
    os.environ["PYSPARK_PYTHON"] = sys.executable  # else the workers are whatever "python3" is on PATH
    scratch = Path(tempfile.mkdtemp(prefix="spark-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    logging = scratch / "log4j2.properties"
    logging.write_text(_LOGGING)
    configuration = dict(CONFIGURATION)
    configuration["spark.driver.extraJavaOptions"] += f" -Dlog4j2.configurationFile={logging}"
    configuration["spark.sql.warehouse.dir"] = str(scratch / "warehouse")
    configuration["spark.local.dir"] = str(scratch)
    if not settings.master.startswith("local"):
        for unwanted in _LOCAL_ONLY:
            configuration.pop(unwanted)
    builder = SparkSession.builder.appName(name).master(settings.master)
    for key, value in configuration.items():
        builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        raise JobError(f"Spark could not start on {settings.master}: {str(error).splitlines()[0][:200]}") from error
