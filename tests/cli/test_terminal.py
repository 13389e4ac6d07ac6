# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees on a real (pseudo) terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import textwrap

import pytest


def on_terminal(script: str, columns: int = 80) -> str:
    """Run a Python script with its output on a pseudo-terminal; what it showed."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "40", "TERM": "xterm"}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(
        command, stdout=follower, stderr=follower, stdin=follower, env=environment
    ) as process:
        os.close(follower)
        shown = bytearray()
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            shown += chunk
        process.wait()
    os.close(leader)
    assert process.returncode == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def test_a_listing_is_an_aligned_table_on_a_terminal() -> None:
    text = on_terminal(
        """
        from lakebutler.cli.output import Listing, emit
        emit(Listing(("name", "n"), [("raw", 5), ("calexp", 12000)]))
        """
    )
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    assert "\t" not in text
    assert lines[-2].endswith("    5")
    assert lines[-1].endswith("12000")
    assert lines[-1].startswith("calexp")


def test_a_wide_cell_is_folded_and_never_lost() -> None:
    identity = "0190b2c4-7a1e-7000-8000-000000000001"
    text = on_terminal(
        f"""
        from lakebutler.cli.output import Listing, emit
        emit(Listing(("type", "run", "id"), [("raw", "HSC/raw/all", "{identity}")]))
        """,
        columns=40,
    )
    header, _, *body = re.sub("\x1b[^m]*m", "", text).splitlines()
    start = header.index("id")
    assert "".join(line[start:].strip() for line in body) == identity


def test_a_long_table_does_not_wait_for_layout() -> None:
    text = on_terminal(
        """
        from lakebutler.cli.output import Listing, emit
        emit(Listing(("n",), [(i,) for i in range(2000)]))
        """
    )
    assert len(text.splitlines()) == 2002
    assert "\x1b" not in text


def test_progress_shows_on_a_terminal_and_leaves_its_line() -> None:
    text = on_terminal(
        """
        from lakebutler.cli.session import Session
        bar = Session().watcher()
        bar.start("reading headers", 3)
        for _ in range(3):
            bar.advance()
        bar.finish()
        print("done")
        """
    )
    assert "reading headers" in text
    assert "3/3" in text
    assert text.rstrip().endswith("done")


@pytest.mark.parametrize("wanted", [None, False])
def test_progress_is_silent_where_nobody_watches(
    wanted: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    from lakebutler.cli.session import Session

    bar = Session(progress=wanted).watcher()
    bar.start("reading", 1)
    bar.advance()
    bar.finish()
    assert capsys.readouterr() == ("", "")


def test_a_table_far_too_wide_is_shown_as_records_line_by_line() -> None:
    text = on_terminal(
        """
        from lakebutler.cli.output import Listing, emit
        names = tuple(f"column_{i}" for i in range(20))
        emit(Listing(names, [tuple(range(20)), tuple(range(20, 40))]))
        """
    )
    lines = text.splitlines()
    assert lines[0].split() == ["column_0", "0"]
    assert lines[20] == ""
    assert lines[21].split() == ["column_0", "20"]
    assert len(lines) == 41
