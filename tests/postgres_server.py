"""A PostgreSQL server of its own for the tests: Debian's, on a socket in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "geheim-&-hemmelig"  # noqa: S105 - of a server that lives for some seconds
PLACES = (
    *map(Path, os.environ.get("PATH", "").split(os.pathsep)),
    *Path("/usr/lib/postgresql").glob("*/bin"),
)


def find_programs() -> Path | None:
    """The folder with the server's programs, if it is installed."""
    return next(
        (p for p in PLACES if all((p / name).exists() for name in ("initdb", "pg_ctl", "postgres"))), None
    )


@contextmanager
def run_server(programs: Path) -> Iterator[str]:
    """Start a server and give its connection, without a database."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    own = choose_user()
    if own:
        shutil.chown(folder, own["user"])

    def call(name: str, *arguments: object) -> None:
        subprocess.run(  # noqa: S603 - the programs found
            [programs / name, *map(str, arguments)],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            **own,
        )

    data, secret = folder / "data", folder / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    try:
        call(
            "initdb",
            "-D",
            data,
            "-U",
            "ada",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "-E",
            "UTF8",
        )
        call(
            "pg_ctl", "-D", data, "-l", folder / "log", "-w", "start",
            "-o", f"-k {folder} -c listen_addresses= -c fsync=off -c timezone=America/New_York",
        )  # fmt: skip
        try:
            yield f"host={folder} user=ada"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def choose_user() -> dict[str, str]:
    """Whom the server runs as: it refuses to run as root."""
    if os.geteuid():
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": next(name for name in ("postgres", "nobody") if name in names)}
