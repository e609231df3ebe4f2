"""Spark: a store scored on a cluster, each task a whole bucket; what it leaves is what a local run leaves."""

import os
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from somv_risk import errors
from somv_risk.batch import BatchResult, Done, Failed, Options, Task, list_libraries, run_batch
from somv_risk.calls.arguments import read_path
from somv_risk.calls.extras import check_installed
from somv_risk.calls.moments import Moment
from somv_risk.calls.shown import show
from somv_risk.errors import ConfigError, SomvRiskError, SourceError, SystemLibraryError
from somv_risk.files.parquet import scan_parquet
from somv_risk.files.private_files import make_inner_folder
from somv_risk.model.model import RiskModel
from somv_risk.report.outputs import SCORES_FILE
from somv_risk.scoring.options import Explain
from somv_risk.scoring.score import Allowed
from somv_risk.sources.delta import write_delta_table

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyspark.sql import SparkSession

Format = Literal["parquet", "delta"]
Report = dict[str, Any]
Batches = Iterable["RecordBatch"]

DELTA_FOLDER: Final = "scores.delta"
_TASK: Final = "task"
_REPORT: Final = (
    "bucket long, rows long, seconds double, peak_mb long, kept long, reason string, error string"
)
_SETTINGS: Final[Mapping[str, str]] = {
    # Spark gives each task one core, while Polars would take all that it sees.
    "spark.executorEnv.POLARS_MAX_THREADS": "1",
    "spark.ui.enabled": "false",
}


def score_spark(
    spark: "SparkSession",
    store: str | Path,
    model: RiskModel | str | Path,
    out: str | Path,
    *,
    index_time: Moment,
    capacity: int | None = None,
    threshold: float | None = None,
    reasons: int = 3,
    language: str = "da",
    explain: Explain = "flagged",
    format: Format = "parquet",  # noqa: A002 - Spark's own word
    allow: Collection[Allowed] = (),
    group_readable: bool = False,
) -> BatchResult:
    """Score everyone in a store on a Spark cluster, a task for each bucket.

    It is `run_batch` with executors for workers: the same checks, files and bytes, and a run that was ended
    goes on where it stopped, on the cluster or on one machine. Rows never pass through Spark; its tasks are
    given the numbers of buckets, and tell in Arrow what became of each.

    Executors need this library and its dependencies in the versions of the driver, and `store` (to read) and
    `out` (to write) under the same paths as the driver: a shared or mounted file system. The model travels
    in `out`.

    Parameters
    ----------
    spark
        A session of Spark 3.5 or newer, as `start_spark` gives it or the cluster's own.
    out
        Folder for all that `run_batch` leaves. Its parts by bucket, `scores/`, can be read by Spark.
    capacity, threshold, reasons, language, explain
        Whom to flag and explain, as in `score`.
    format
        "delta" also writes the rows of `scores.parquet` as a Delta table, `scores.delta`; one that is there
        gets a new version.
    allow
        What is usually refused, as in `run_batch`.
    group_readable
        Whether the group may read what is written: executors that run as another user need it.

    Raises
    ------
    ConfigError
        If PySpark or deltalake is not installed, an option is out of its range, or an executor has other
        versions of the libraries.
    SourceError
        If an executor cannot do its work; what stands then stays.
    SomvRiskError
        Whatever `run_batch` raises.
    """
    check_installed("pyspark", "Spark")
    _check_format(format)
    result = run_batch(
        model,
        read_path("store", store).resolve(),
        read_path("out", out).resolve(),
        index_time=index_time,
        options=Options(capacity, threshold, reasons, language, explain),
        workers=partial(_gather_executors, spark),
        allow=allow,
        group_readable=group_readable,
    )
    if format == "delta":
        make_inner_folder(result.folder / DELTA_FOLDER)
        write_delta_table(
            scan_parquet(result.folder / SCORES_FILE), result.folder / DELTA_FOLDER, mode="overwrite"
        )
    return result


def start_spark(master: str = "local[*]", settings: Mapping[str, str] | None = None) -> "SparkSession":
    """Start a Spark session on this machine, whose Python is that of its executors as well.

    Parameters
    ----------
    master
        Such as "local[2]": two tasks at once.
    settings
        Spark's own, over the few set here: one thread of Polars for each task, no page of Spark's.

    Raises
    ------
    ConfigError
        If PySpark is not installed.
    SystemLibraryError
        If Java is missing or Spark does not start.
    """
    check_installed("pyspark", "Spark")
    _check_java()
    from pyspark.errors import PySparkException  # noqa: PLC0415 - an extra
    from pyspark.sql import SparkSession  # noqa: PLC0415

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the setting of this name is not heeded
    builder = SparkSession.builder.master(master).appName("somv_risk")
    for name, value in {**_SETTINGS, **(settings or {})}.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except PySparkException as error:
        raise SystemLibraryError(
            f"Spark did not start ({type(error).__name__}). It needs Java 17 or newer (Spark 3.5: 8, 11 or "
            "17) and a free port; what Java said stands above."
        ) from None


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        raise SystemLibraryError(
            "Spark needs Java, and there is none. Install it (apt-get install -y openjdk-17-jre-headless), "
            "or name its folder in JAVA_HOME."
        )


def _check_format(asked: str) -> None:
    if not isinstance(asked, str) or asked not in ("parquet", "delta"):
        raise ConfigError(f"format is {show(asked)}. Give 'parquet' or 'delta'.")
    if asked == "delta":
        check_installed("deltalake", "Delta tables")


@dataclass(frozen=True, slots=True)
class _Executors:
    """Do the tasks of a run, each a row of a Spark range in a partition of its own."""

    spark: "SparkSession"
    size: int | None = None  # the cluster's affair

    def run(self, tasks: Iterable[Task]) -> Iterator[Done | Failed]:
        given, libraries = list(tasks), list_libraries()

        def work(batches: Batches) -> Iterator["RecordBatch"]:
            return _do_tasks(given, libraries, batches)

        # Shuffled round robin, some partitions would get two buckets and some none; a range is cut evenly.
        numbers = self.spark.range(0, len(given), 1, len(given)).withColumnRenamed("id", _TASK)
        with _explain_trouble():
            reports = numbers.mapInArrow(work, _REPORT).collect()
        yield from (_read_report(row.asDict()) for row in reports)


@contextmanager
def _gather_executors(spark: "SparkSession") -> Iterator[_Executors]:
    yield _Executors(spark)


def _do_tasks(
    tasks: Sequence[Task], libraries: Mapping[str, str], batches: Batches
) -> Iterator["RecordBatch"]:
    """Do, in an executor, the tasks whose numbers are given, and report each."""
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second to import

    types = {"long": pa.int64(), "double": pa.float64(), "string": pa.string()}
    columns = [column.split() for column in _REPORT.split(", ")]
    schema = pa.schema([(name, types[kind]) for name, kind in columns])
    for batch in batches:
        for number in batch.column(_TASK).to_pylist():
            report = _report(tasks[number], libraries)
            yield pa.RecordBatch.from_pylist([report], schema=schema)


def _report(task: Task, libraries: Mapping[str, str]) -> Report:
    """Do a task; an error of ours is no failure of Spark's, which would try again and hide it."""
    try:
        _check_libraries(libraries)
        return asdict(task())
    except SomvRiskError as error:
        return {"error": type(error).__name__, "reason": str(error)}


def _check_libraries(libraries: Mapping[str, str]) -> None:
    own = list_libraries()
    different = [
        f"{name} {own.get(name, 'missing')}"
        for name, version in libraries.items()
        if own.get(name) != version
    ]
    if different:
        raise ConfigError(
            f"An executor has other versions than the driver: {', '.join(different)}. Scores could differ in "
            "their last digits; install the same."
        )


def _read_report(report: Report) -> Done | Failed:
    if report["error"] is not None:
        raise getattr(errors, report["error"])(report["reason"])
    if report["reason"] is not None:
        return Failed(report["bucket"], report["reason"])
    return Done(*(report[name] for name in ("bucket", "rows", "seconds", "peak_mb", "kept")))


@contextmanager
def _explain_trouble() -> Iterator[None]:
    """Make one sentence of a job that Spark gave up; what it prints may quote values."""
    from py4j.protocol import Py4JError  # noqa: PLC0415 - comes with PySpark
    from pyspark.errors import PySparkException  # noqa: PLC0415 - an extra

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise SourceError(_tell_trouble(str(error))) from None


def _tell_trouble(told: str) -> str:
    missing = re.search(r"No module named '([\w.]+)'", told)
    if missing:
        return (
            f"An executor has no {missing[1]}. Install somv-risk for the Python of the executors, which "
            "PYSPARK_PYTHON names."
        )
    return (
        "Spark gave up a task, perhaps because an executor ran out of memory; its log says more. Start again "
        "to go on where the run stopped."
    )
