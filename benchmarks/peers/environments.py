"""Environments: each peer's own, made once from its pin file, and how to run its script in there."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ("timeseriesflattener", "featuretools")
# Git-ignored by a file of its own. SOMV_PEERS may name another folder, to share it between checkouts.
HOME = Path(os.environ.get("SOMV_PEERS", ROOT / ".peers"))
MADE_FROM = "made-from"


def run_peer(name: str, mode: str, /, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - anything JSON can carry
    """Run a peer's script with its own Python, and return the report it prints last.

    Like `run_step`, this side imports nothing large: the script starts with the peak memory of its caller.
    """
    module = f"benchmarks.peers.{name}_peer"
    command = [str(make_environment(name)), "-m", module, mode, json.dumps(arguments)]
    print(f"{name} {mode} ...", file=sys.stderr, flush=True)
    # Some peers draw progress bars by the hundred; what they say matters only if they fail.
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603 - our own script
    if done.returncode:
        sys.exit(f"{done.stderr}\nThe peer {name} failed at {mode}; its own message stands above.")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def make_environment(name: str) -> Path:
    """Make a peer's environment unless it is there, and return its Python."""
    pins = HERE / f"{name}.txt"
    folder = HOME / name
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    made_from = folder / MADE_FROM
    if not made_from.is_file() or made_from.read_text() != digest:
        if folder.is_symlink():
            # Making it anew would first empty what it points to.
            sys.exit(f"{folder} is a link, and was not made from {pins}. Remove the link.")
        print(f"Making the environment of {name} in {folder} ...", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        (HOME / ".gitignore").write_text("*\n")
        command = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "-r", str(pins)], check=True, stdout=sys.stderr)  # noqa: S603 - pinned packages
        made_from.write_text(digest)
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
