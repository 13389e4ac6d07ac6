# SPDX-License-Identifier: BSD-3-Clause
"""What every test stands on: the shared inputs, and settings that make runs repeatable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

KNOWN_SKIPS = (
    "full size; run with --full",
    "no shared inputs at",
    "needs root to mount a small disk",
    "no strace, or it may not trace",
    "lsst-daf-butler is needed",
    "does not name a Python with lsst-daf-butler",
    "psycopg is needed",
    "PostgreSQL is not installed",
    "has no psycopg2",
)

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=50,
)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("repeatable")

# A test must not depend on the time zone, language or settings of whoever runs it.
os.environ["TZ"] = "UTC"
os.environ["MPLBACKEND"] = "Agg"
for name in ("LAKEBUTLER_REPO", "COLUMNS", "NO_COLOR", "FORCE_COLOR"):
    os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the tests marked 'full'")
    parser.addoption(
        "--no-new-skips", action="store_true", help="fail if a test is skipped for a reason not known here"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--full"):
        settings.load_profile("thorough")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Ids without memory addresses, so that all workers of xdist collect the same tests."""
    return f"{argname}:{type(val).__name__}" if " at 0x" in repr(val) and not callable(val) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="full size; run with --full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skip)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that silently stops running is a failure, where the caller asks for it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-new-skips"):
        return
    reasons = {str(report.longrepr) for report in reporter.stats.get("skipped", [])}
    new = sorted(reason for reason in reasons if not any(known in reason for known in KNOWN_SKIPS))
    if new:
        reporter.write_line("")
        reporter.write_sep("=", "skipped for reasons that tests/conftest.py does not know", red=True)
        for reason in new:
            reporter.write_line(reason)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own settings and caches out of the tests, and the tests out of them."""
    base = tmp_path_factory.getbasetemp() / "user"
    monkeypatch.setenv("LAKEBUTLER_CONFIG_DIR", str(base / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of real inputs; the test is skipped where they are not present."""
    explicit = os.environ.get("LAKEBUTLER_SHARED")
    place = (Path(explicit) if explicit else ROOT.parent / "shared") / "data"
    if not place.is_dir():
        pytest.skip(f"no shared inputs at {place} (set LAKEBUTLER_SHARED)")
    return place
