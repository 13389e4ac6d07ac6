# SPDX-License-Identifier: BSD-3-Clause
"""Reference catalogues: at which level of pixels they are cut.

Their ``config.py`` is a program that was to be run; here only its assignments of constants
are read.  Where it says nothing the numbers of the pixels tell: those of level ``n`` lie
between ``8 * 4**n`` and ``16 * 4**n``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

__all__ = ["level_of_config", "level_of_pixels"]

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
        with open(path, "rb") as stream:
            text = stream.read(_LARGEST)
        tree = ast.parse(text)
    except OSError as error:
        return None, f"config.py cannot be read ({error.strerror})"
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
            if name.endswith(".depth") and "indexer" in name and isinstance(value, int):
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
