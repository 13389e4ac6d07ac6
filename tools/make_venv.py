# SPDX-License-Identifier: BSD-3-Clause
"""Make the project's virtual environment, on a machine where nothing is prepared.

Standard library only: this is the first thing that runs on a fresh machine.  The
environment is stamped with a hash of ``pyproject.toml`` and of the extras asked
for, so that the second call does nothing.

    python3 tools/make_venv.py .venv --extras test
    python3 tools/make_venv.py .venv-lowest --extras test --lowest
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


def say(message: str) -> None:
    """Print one line to standard error."""
    print(message, file=sys.stderr, flush=True)


def run(*command: str | Path, quiet: bool = False) -> bool:
    """Run a command; whether it succeeded."""
    sink = subprocess.DEVNULL if quiet else sys.stderr
    return (
        subprocess.run([str(part) for part in command], stdout=sink, stderr=sink, check=False).returncode == 0
    )


def stamp_text(extras: set[str], lowest: bool) -> str:
    """What the stamp of a finished environment must say."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()).hexdigest()
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return f"{digest} python={python} lowest={lowest} root={ROOT} extras={','.join(sorted(extras))}"


def stamped_extras(stamp: Path, lowest: bool) -> set[str] | None:
    """Extras that a finished and still valid environment has; None if it is not valid."""
    if not stamp.is_file():
        return None
    text = stamp.read_text()
    extras = {e for e in text.rpartition("extras=")[2].split(",") if e}
    return extras if text == stamp_text(extras, lowest) else None


def create(venv: Path) -> None:
    """Create an empty environment with pip in it, whatever the system's Python lacks."""
    if run(sys.executable, "-m", "venv", "--clear", venv, quiet=True):
        return
    if shutil.which("virtualenv") and run("virtualenv", "-q", "--clear", "-p", sys.executable, venv):
        return
    # Debian's python3 without python3-venv has no ensurepip: any pip can fill an empty environment.
    shutil.rmtree(venv, ignore_errors=True)
    bare = run(sys.executable, "-m", "venv", "--without-pip", "--clear", venv, quiet=True)
    if bare and run(
        sys.executable, "-m", "pip", "-q", "--python", venv / "bin/python", "install", "pip", quiet=True
    ):
        return
    say("this Python has no ensurepip; installing python3-venv from the system's packages")
    apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "-n", "apt-get"]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if shutil.which("apt-get"):
        run(*apt, "-qq", "update", quiet=True)
        for package in (version, "python3-venv"):
            if run(*apt, "-qq", "-y", "--no-install-recommends", "install", package):
                break
    if not run(sys.executable, "-m", "venv", "--clear", venv):
        raise SystemExit(
            f"error: {sys.executable} cannot make a virtual environment: its 'venv' module is missing"
        )


def install(venv: Path, extras: set[str], lowest: bool) -> None:
    """Install the package, editable, with its extras: with uv where that works, else with pip."""
    python = venv / "bin" / "python"
    target = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    with_uv = run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv", quiet=True)
    command: list[str | Path] = [python, "-m", "uv", "pip", "install", "-q", "--python", python, "-e", target]
    if lowest:
        command += ["--resolution", "lowest-direct"]
    if with_uv and run(*command, quiet=not lowest):
        return
    if lowest:
        raise SystemExit("error: the lowest supported versions could not be installed together")
    if not run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-e", target):
        raise SystemExit("error: installing lakebutler and its dependencies failed (see above)")


def main() -> None:
    """Make the environment unless it is there already."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("venv", type=Path)
    parser.add_argument("--extras", default="", help="comma-separated extras of pyproject.toml")
    parser.add_argument("--lowest", action="store_true", help="the lower bound of each dependency")
    options = parser.parse_args()
    if sys.version_info[:2] < OLDEST:
        raise SystemExit(
            f"error: Python {OLDEST[0]}.{OLDEST[1]} or later is needed; "
            f"{sys.executable} is {sys.version.split()[0]} (set PYTHON=...)"
        )
    venv = options.venv.absolute()
    stamp = venv / ".lakebutler-stamp"
    wanted = {e for e in options.extras.split(",") if e}
    present = stamped_extras(stamp, options.lowest)
    if present is not None and wanted <= present:
        return
    wanted |= present or set()
    started = time.monotonic()
    say(f"installing into {options.venv} (once) ...")
    if present is None:
        create(venv)
    install(venv, wanted, options.lowest)
    stamp.write_text(stamp_text(wanted, options.lowest))
    say(f"installed in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
