"""Run every benchmark, one after the other; ``python -m benchmarks NAME …`` runs some."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import benchmarks


def main(asked: list[str]) -> int:
    """Run the asked benchmarks, each in a process of its own; the number that failed."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")
    failed = 0
    for name in asked or names:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
