# SPDX-License-Identifier: BSD-3-Clause
"""Python types by name, without importing what is not needed."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from lakebutler.errors import StorageClassError

__all__ = ["instance_of", "resolve_type", "type_name"]


def type_name(cls: type) -> str:
    """Qualified name of a type, as messages and definitions write it.

    Parameters
    ----------
    cls : `type`
        Any type.

    Returns
    -------
    name : `str`
        ``module.Class``; builtins without their module.
    """
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def resolve_type(name: str) -> type:
    """Import a Python type by its qualified name.

    Parameters
    ----------
    name : `str`
        ``module.Class`` or the name of a builtin.  It must come from the package,
        an installed plug-in or the user: never from a repository.

    Returns
    -------
    cls : `type`
        The type.

    Raises
    ------
    StorageClassError
        Raised if it cannot be imported.
    """
    module_name, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module_name or "builtins"), attribute)
    except (ImportError, AttributeError) as exc:
        package = name.partition(".")[0]
        raise StorageClassError(
            f"the Python type {name} cannot be imported: {exc}",
            hint=f"is the package {package!r} installed? storageClass='Bytes' gives the file's content",
        ) from None
    if not isinstance(found, type):
        raise StorageClassError(f"{name} is not a Python type")
    return found


def instance_of(obj: Any, name: str) -> bool:
    """Whether an object is of a type given by name, without needless imports.

    Parameters
    ----------
    obj : `object`
        Any object.
    name : `str`
        Qualified name of a type.

    Returns
    -------
    fits : `bool`
        As `isinstance`.  A type whose package the object's own type has nothing
        to do with is not imported for this.
    """
    module_name, _, _ = name.rpartition(".")
    if module_name and module_name not in sys.modules:
        package = name.partition(".")[0]
        if all(base.__module__.partition(".")[0] != package for base in type(obj).__mro__):
            return False
    return isinstance(obj, resolve_type(name))
