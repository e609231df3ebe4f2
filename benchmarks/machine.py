"""The machine on which something was measured."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("somv-risk", "polars", "lightgbm", "numpy", "numba", "shap")
PINS = Path(__file__).parent / "peers"
PEERS = (
    "duckdb",
    "timeseriesflattener",
    "featuretools",
    "lleaves",
    "onnxruntime",
    "tl2cgen",
    "woodelf_explainer",
)
CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")


def describe_machine() -> dict[str, str]:
    """Describe what the figures depend on; what a system does not tell is left out."""
    memory = _read_entry(MEMORY_INFO, "MemTotal")
    facts = {
        "CPUs": str(os.cpu_count()),
        "CPU model": _read_entry(CPU_INFO, "model name"),
        "Memory": f"{int(memory.split()[0]) / 2**20:.1f} GiB" if memory else "",
        "System": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "Libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "In environments of their own": ", ".join(map(_read_pin, PEERS)),
        "OMP_NUM_THREADS (LightGBM)": os.environ.get("OMP_NUM_THREADS", "not set"),
        "POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", "not set"),
    }
    return {name: fact for name, fact in facts.items() if fact}


def read_load() -> str:
    """Read the load of the last minute: above the number of CPUs, wall times are longer than need be."""
    return f"{os.getloadavg()[0]:.1f}"


def _read_pin(name: str) -> str:
    lines = (PINS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return next(line.replace("==", " ") for line in lines if line.startswith(f"{name}=="))


def _read_entry(file: Path, name: str) -> str:
    if not file.is_file():
        return ""
    lines = (line.partition(":") for line in file.read_text(encoding="utf-8").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")
