# SPDX-License-Identifier: BSD-3-Clause
"""Reference catalogues: at which level of pixels they are cut.

Their ``config.py`` is a program that was to be run; here only its assignments of constants
are read.  Where it says nothing the numbers of the pixels tell: those of level ``n`` lie
between ``8 * 4**n`` and ``16 * 4**n``.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable

from lakebutler.errors import RepositoryFormatError
from lakebutler.gen2 import names
from lakebutler.gen2.parts import Part
from lakebutler.gen2.reading import read_small
from lakebutler.gen2.report import Report
from lakebutler.gen2.translate import Translated, first_of_each

__all__ = ["level_of_config", "level_of_pixels", "part_catalogues"]

_LARGEST = 1 << 20
_LEVELS = range(25)


def level_of_config(path: str) -> tuple[int | None, str]:
    """Read the level that a configuration says.

    Parameters
    ----------
    path : `str`
        The file ``config.py``.

    Returns
    -------
    level : `int` or `None`
        `None` if it does not say.
    note : `str`
        Why not.
    """
    try:
        tree = ast.parse(read_small(path, _LARGEST, "configuration"))
    except RepositoryFormatError as error:
        return None, error.message.replace(path, "config.py")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None, "config.py is no Python"
    level: int | None = None
    kind = "HTM"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        value = node.value.value
        for target in node.targets:
            name = ast.unparse(target)
            if name.endswith(".depth") and "indexer" in name and isinstance(value, int) and value in _LEVELS:
                level = value
            elif name.endswith((".indexer", ".indexer.name")) and isinstance(value, str):
                kind = value
    if kind != "HTM":
        return None, f"its pixels are of kind {kind}, not HTM"
    return level, "" if level is not None else "config.py does not say the level"


def level_of_pixels(pixels: Iterable[int]) -> int | None:
    """Find the only level of which there are pixels among numbers.

    Parameters
    ----------
    pixels : iterable of `int`
        Numbers.

    Returns
    -------
    level : `int` or `None`
        `None` if there is none, or more than one.
    """
    levels = {level for pixel in pixels for level in _LEVELS if 8 * 4**level <= pixel < 16 * 4**level}
    return levels.pop() if len(levels) == 1 else None


def part_catalogues(
    root: str, found: Translated, key: str, skipped: list[tuple[str, str]], report: Report
) -> list[Part]:
    """Part the files of reference catalogues by catalogue; each is a type of its own.

    Parameters
    ----------
    root : `str`
        Where they stand.
    found : `Translated`
        Files, with their pixels in a column ``htm``.
    key : `str`
        Column with the name of the catalogue.
    skipped : `list`
        Takes files that cannot be used.
    report : `Report`
        Takes notes.

    Returns
    -------
    parts : `list` [`Part`]
        One for each catalogue.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    for name in sorted(found.table.column(key).unique().to_pylist()):
        table = found.table.filter(pc.equal(found.table.column(key), name))
        directory = os.path.dirname(table.column("path")[0].as_py())
        level, why = level_of_config(f"{root}/{directory}/config.py")
        told = level_of_pixels(table.column("htm").to_pylist()) if level is None else level
        if told is None or "not HTM" in why:
            paths = table.column("path").to_pylist()
            skipped += [(path, why or "no level fits its pixels") for path in paths]
            continue
        if level is None:
            report.note([f"{name}: {why}; its pixels are of level {told}"])
        pixels, least = table.column("htm"), 8 * 4**told
        good = pc.and_(pc.greater_equal(pixels, least), pc.less(pixels, 2 * least))
        bad = table.filter(pc.invert(good)).column("path").to_pylist()
        skipped += [(path, f"no pixel of level {told}") for path in bad]
        table = table.filter(good)
        dimension = f"htm{told}"
        run = pa.repeat(pa.scalar(names.REFCAT_RUN), table.num_rows)
        table = pa.table({"path": table.column("path"), dimension: table.column("htm"), "run": run})
        first, others = first_of_each(table, [dimension])
        skipped += [(path, "the same pixel twice") for path in others.column("path").to_pylist()]
        kind = names.type_name(name)
        if kind != name:
            report.note([f"the reference catalogue {name} becomes the dataset type {kind}"])
        plan = found.plan
        parts.append(Part(kind, (dimension,), plan.storage_class, plan.formatter, root, first))
    return parts
