# SPDX-License-Identifier: BSD-3-Clause
"""Configurations from anywhere: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import Butler
from lakebutler.errors import RepositoryFormatError


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {a: " + "9" * 9001 + "}",
        "a: " + "[" * 3000,
        "{",
        "a: !!python/object/apply:os.system [id]",
        "a: b: c",
        "\x00",
        "a: 2001-99-99",
    ],
)
def test_a_configuration_that_is_none_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    Butler.makeRepo(tmp_path)
    (tmp_path / "butler.yaml").write_text(text)
    with pytest.raises(RepositoryFormatError) as caught:
        Butler.from_config(tmp_path)
    assert len(caught.value.message.splitlines()) == 1
    assert len(caught.value.message) < 1000
