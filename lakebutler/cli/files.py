# SPDX-License-Identifier: BSD-3-Clause
"""Files that users hand to verbs."""

from __future__ import annotations

import os
from typing import Any

from lakebutler.errors import FileFormatError

__all__ = ["read_table", "read_yaml_mapping"]


def read_yaml_mapping(path: str) -> dict[str, Any]:
    """Read a YAML file that must hold a mapping.

    Parameters
    ----------
    path : `str`
        The file.

    Returns
    -------
    content : `dict`
        What it holds.

    Raises
    ------
    FileFormatError
        Raised if it is no YAML or no mapping.
    """
    import yaml

    with open(path, "rb") as stream:
        try:
            content = yaml.safe_load(stream)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            raise FileFormatError(f"{path}: not valid YAML: {' '.join(str(exc).split())[:200]}") from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{path}: must be a mapping, not {type(content).__name__}")
    return content


def read_table(table_file: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Read a table of any format that astropy recognises.

    Parameters
    ----------
    table_file : `str`
        The file.

    Returns
    -------
    names : `list` [`str`]
        Names of the columns.
    rows : `list` [`tuple`]
        Plain Python values.

    Raises
    ------
    FileFormatError
        Raised if it is no table, or an empty one.
    """
    from astropy.table import Table

    if not os.path.exists(table_file) and "://" not in table_file:
        raise FileNotFoundError(2, "no such file or directory", table_file)
    try:
        table = Table.read(table_file)
    except Exception as exc:  # each reader of astropy fails in its own way
        try:
            table = Table.read(table_file, format="ascii")
        except Exception:
            line = str(exc).strip().splitlines()[0][:200]
            raise FileFormatError(f"{table_file}: not a table that astropy reads: {line}") from None
    if not table.colnames or not len(table):
        raise FileFormatError(f"{table_file}: the table is empty")
    columns = [table[name].tolist() for name in table.colnames]
    return list(table.colnames), list(zip(*columns, strict=True))
