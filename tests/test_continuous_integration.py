"""What continuous integration runs sees nothing of the environment around it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / ".ci" / "run"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_its_steps_start_in_a_clean_environment(tmp_path):
    make = tmp_path / "make"
    make.write_text(f"#!/bin/sh\necho MAKE=$1\nenv >> '{tmp_path}/seen'\n")
    make.chmod(0o755)
    around = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "https://mirror.example/a b",
        "https_proxy": "http://proxy.example",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "SOMV_EXTERNAL_DATA": "/data",
    }
    subprocess.run([RUN], env=around, check=True, capture_output=True)  # noqa: S603 - our own script
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    kept = {name: value for name, value in seen.items() if name in around}
    assert kept == {name: around[name] for name in ("PATH", "HOME", "PIP_INDEX_URL", "https_proxy")}
    assert seen["LANG"] == "C.UTF-8"
