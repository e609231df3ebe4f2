"""The runner: does one step, named as `module.function`, in this process and prints what it reports."""

import json
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    (module, _, function), arguments = sys.argv[1].rpartition("."), json.loads(sys.argv[2])
    step = getattr(import_module(f"benchmarks.{module}"), function)
    folder = Path(arguments.pop("folder"))
    print(json.dumps(step(folder, **arguments)))


if __name__ == "__main__":
    main()
