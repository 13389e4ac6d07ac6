# SPDX-License-Identifier: BSD-3-Clause
"""Write ``docs/methods.md``: every public method of ``lsst.daf.butler`` beside ours.

The signatures are taken from both packages.  Those of ``lsst.daf.butler`` are read by a
Python that has it, named by the environment variable ``PY_daf_butler``.
``--check`` only compares; ``--missing`` prints what we lack, to work from.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods.md"
NOTES = Path(__file__).resolve().parent / "compare_api.json"

THEIRS = {
    "Butler": "lsst.daf.butler:Butler",
    "ButlerCollections": "lsst.daf.butler:ButlerCollections",
    "CollectionInfo": "lsst.daf.butler:CollectionInfo",
    "CollectionType": "lsst.daf.butler:CollectionType",
    "Registry": "lsst.daf.butler.registry:Registry",
    "RegistryDefaults": "lsst.daf.butler.registry:RegistryDefaults",
    "CollectionSummary": "lsst.daf.butler.registry:CollectionSummary",
    "DatasetAssociation": "lsst.daf.butler:DatasetAssociation",
    "Query": "lsst.daf.butler.queries:Query",
    "DatasetRefQueryResults": "lsst.daf.butler.queries:DatasetRefQueryResults",
    "DataCoordinateQueryResults": "lsst.daf.butler.queries:DataCoordinateQueryResults",
    "DimensionRecordQueryResults": "lsst.daf.butler.queries:DimensionRecordQueryResults",
    "GeneralQueryResults": "lsst.daf.butler.queries:GeneralQueryResults",
    "ExpressionFactory": "lsst.daf.butler.queries.expression_factory:ExpressionFactory",
    "DataCoordinate": "lsst.daf.butler:DataCoordinate",
    "DimensionUniverse": "lsst.daf.butler:DimensionUniverse",
    "DimensionGroup": "lsst.daf.butler:DimensionGroup",
    "DimensionElement": "lsst.daf.butler:DimensionElement",
    "Dimension": "lsst.daf.butler:Dimension",
    "DimensionRecord": "lsst.daf.butler:DimensionRecord",
    "DimensionRecordSet": "lsst.daf.butler:DimensionRecordSet",
    "DimensionRecordTable": "lsst.daf.butler:DimensionRecordTable",
    "DatasetType": "lsst.daf.butler:DatasetType",
    "DatasetRef": "lsst.daf.butler:DatasetRef",
    "DatasetIdGenEnum": "lsst.daf.butler:DatasetIdGenEnum",
    "DatasetProvenance": "lsst.daf.butler:DatasetProvenance",
    "DatasetExistence": "lsst.daf.butler:DatasetExistence",
    "DeferredDatasetHandle": "lsst.daf.butler:DeferredDatasetHandle",
    "FileDataset": "lsst.daf.butler:FileDataset",
    "StorageClass": "lsst.daf.butler:StorageClass",
    "StorageClassDelegate": "lsst.daf.butler:StorageClassDelegate",
    "StorageClassFactory": "lsst.daf.butler:StorageClassFactory",
    "Timespan": "lsst.daf.butler:Timespan",
}

OURS = {
    "Butler": "lakebutler.butler.butler:Butler",
    "ButlerCollections": "lakebutler.butler.collections_api:ButlerCollections",
    "CollectionInfo": "lakebutler.collections.collection:CollectionInfo",
    "CollectionType": "lakebutler.collections.collection:CollectionType",
    "Registry": "lakebutler.butler.registry_api:ButlerRegistry",
    "RegistryDefaults": "lakebutler.butler.defaults:RegistryDefaults",
    "CollectionSummary": "lakebutler.butler.summary:CollectionSummary",
    "DatasetAssociation": "lakebutler.datasets.association:DatasetAssociation",
    "Query": "lakebutler.query.query:Query",
    "DatasetRefQueryResults": "lakebutler.query.results:DatasetRefQueryResults",
    "DataCoordinateQueryResults": "lakebutler.query.results:DataCoordinateQueryResults",
    "DimensionRecordQueryResults": "lakebutler.query.results:DimensionRecordQueryResults",
    "GeneralQueryResults": "lakebutler.query.general:GeneralQueryResults",
    "ExpressionFactory": "lakebutler.query.expression_factory:ExpressionFactory",
    "DataCoordinate": "lakebutler:DataCoordinate",
    "DimensionUniverse": "lakebutler:DimensionUniverse",
    "DimensionGroup": "lakebutler:DimensionGroup",
    "DimensionElement": "lakebutler:DimensionElement",
    "Dimension": "lakebutler:Dimension",
    "DimensionRecord": "lakebutler:DimensionRecord",
    "DimensionRecordSet": "lakebutler:DimensionRecordSet",
    "DimensionRecordTable": "lakebutler:DimensionRecordTable",
    "DatasetType": "lakebutler:DatasetType",
    "DatasetRef": "lakebutler:DatasetRef",
    "DatasetIdGenEnum": "lakebutler:DatasetIdGenEnum",
    "DatasetProvenance": "lakebutler.datasets.provenance:DatasetProvenance",
    "DatasetExistence": "lakebutler.butler.existence:DatasetExistence",
    "DeferredDatasetHandle": "lakebutler.butler.deferred:DeferredDatasetHandle",
    "FileDataset": "lakebutler:FileDataset",
    "StorageClass": "lakebutler:StorageClass",
    "StorageClassDelegate": "lakebutler:StorageClassDelegate",
    "StorageClassFactory": "lakebutler:StorageClassFactory",
    "Timespan": "lakebutler:Timespan",
}

MODULES = {
    "lsst.daf.butler": "lakebutler",
    "lsst.daf.butler.registry": "lakebutler.registry",
    "lsst.daf.butler.queries": "lakebutler.queries",
}
"""Modules that names are imported from, theirs and ours."""

INTRODUCTION = """\
# Every public method of lsst.daf.butler, and ours

<!-- Written by tools/compare_api.py from the signatures of both packages; do not edit. -->

The first column is a public method (with its arguments) or a property of `lsst.daf.butler`
{version}. *same* means that ours takes the same arguments by the same names; what it takes
besides is in brackets. What differs on purpose in meaning stands in
[Differences](differences.md).
"""

NOT_OURS = ("__class_getitem__", "model_", "__get_pydantic", "copy", "construct", "dict", "json", "schema")


def members(place: str) -> dict[str, list[str] | None] | None:
    """Arguments of the public methods of a class, `None` for what is no method."""
    module, _, name = place.partition(":")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None
    found: dict[str, list[str] | None] = {}
    for base in reversed(inspect.getmro(kind)):
        if base.__module__.split(".")[0] not in ("lsst", "lakebutler") and base.__name__ != kind.__name__:
            continue
        annotated = [n for n in vars(base).get("__annotations__", {}) if n not in vars(base)]
        annotated += [n for n in attributes(base) if n not in vars(base)]
        for member in (*vars(base), *annotated):
            if member.startswith(("_", *NOT_OURS)):
                continue
            found[member] = arguments(getattr(kind, member, None))
    construct = arguments(kind) if kind.__init__ is not object.__init__ else None
    if construct:
        found["(construct)"] = construct
    return found


def attributes(kind: type) -> list[str]:
    """Attributes that objects of a class get when they are made."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        return []
    return sorted(set(re.findall(r"^\s+(?:self|result|record)\.(\w+)(?::[^=\n]+)? = ", source, re.MULTILINE)))


def arguments(value: Any) -> list[str] | None:
    """Names of the arguments of something that can be called, but for ``self``."""
    if not callable(value):
        return None
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    public = [p for p in parameters if p.name not in ("self", "cls") and not p.name.startswith("_")]
    return [stars.get(p.kind, "") + p.name for p in public]


def read_theirs() -> dict[str, Any]:
    """What the other Python finds."""
    python = os.environ.get("PY_daf_butler")  # noqa: SIM112
    if not python:
        raise SystemExit("PY_daf_butler must name a Python that has lsst.daf.butler")
    out = subprocess.run(
        [python, __file__, "--dump"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout
    found: dict[str, Any] = json.loads(out)
    return found


def dump() -> None:
    """Print what this Python's ``lsst.daf.butler`` has, as JSON."""
    import lsst.daf.butler as package

    result: dict[str, Any] = {"version": package.__version__}
    result["classes"] = {name: members(place) for name, place in THEIRS.items()}
    errors = set()
    for module in ("lsst.daf.butler", "lsst.daf.butler.registry"):
        for name, value in vars(import_module(module)).items():
            if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_"):
                errors.add(name)
    result["errors"] = sorted(errors)
    result["names"] = {module: public_names(module) for module in MODULES}
    print(json.dumps(result))


def public_names(module: str) -> list[str]:
    """Names of classes and types that a module offers."""
    return sorted(name for name in vars(import_module(module)) if name[0].isupper())


def names_table(theirs: dict[str, list[str]]) -> list[str]:
    """Where the names are imported from that both have."""
    lines = ["\n## Names\n", "What is not in the table is not there.\n"]
    lines += ["| lsst.daf.butler | name | lakebutler |", "|---|---|---|"]
    for module, names in theirs.items():
        places = (MODULES[module], "lakebutler")
        for name in names:
            place = next((p for p in places if hasattr(import_module(p), name)), None)
            if place is not None:
                lines.append(f"| `{module}` | `{name}` | `{place}` |")
    return lines


def difference(name: str, theirs: list[str] | None, ours: dict[str, Any], note: str) -> tuple[str, str]:
    """What ours is like, and what the difference is."""
    if name not in ours:
        return "–", note
    mine = ours[name]
    if theirs is None or mine is None:
        return "same", note
    catches = any(a.startswith("**") for a in mine)
    passes = any(a.startswith("*") and not a.startswith("**") for a in mine)
    lacking = [a for a in theirs if a not in mine and not a.startswith("*")]
    lacking += [a for a in theirs if a.startswith("**") and not catches]
    lacking += [a for a in theirs if a.startswith("*") and not a.startswith("**") and not passes]
    more = [a for a in mine if a not in theirs and not a.startswith("*")]
    text = "same" if not lacking else "without " + ", ".join(f"`{a}`" for a in lacking)
    if more:
        text += " (" + ", ".join(f"`{a}`" for a in more) + ")"
    return text, note


def table() -> tuple[str, list[str]]:
    """The page, and what is missing without a note."""
    theirs = read_theirs()
    notes: dict[str, str] = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    lines = [INTRODUCTION.format(version=theirs["version"])]
    missing: list[str] = []
    for title, found in theirs["classes"].items():
        ours = members(OURS[title])
        lines += [f"\n## {title}\n", "| lsst.daf.butler | lakebutler | difference |", "|---|---|---|"]
        for name, args in found.items():
            shown = f"`{name}({', '.join(args)})`" if args is not None else f"`{name}`"
            note = notes.get(f"{title}.{name}", notes.get(f"*.{name}", ""))
            like, why = difference(name, args, ours or {}, note)
            why = why if like.startswith(("–", "without")) else ""  # a note says why something is not there
            if (like == "–" or like.startswith("without")) and not why:
                missing.append(f"{title}.{name}({', '.join(args or [])}) {like}")
            lines.append(f"| {shown.replace('|', chr(92) + '|')} | {like} | {why} |")
    lines += names_table(theirs["names"])
    import lakebutler.errors

    lines += ["\n## Exceptions\n", "| lsst.daf.butler | lakebutler | difference |", "|---|---|---|"]
    for name in theirs["errors"]:
        note = notes.get(f"error.{name}", "")
        like = "same" if hasattr(lakebutler.errors, name) else "–"
        if like == "–" and not note:
            missing.append(f"error {name}")
        lines.append(f"| `{name}` | {like} | {note} |")
    return "\n".join(lines) + "\n", missing


def main(given: list[str]) -> None:
    """Write the page, compare it, or print what is missing."""
    if "--dump" in given:
        dump()
        return
    sys.path.insert(0, str(PAGE.parent.parent))
    page, missing = table()
    if "--missing" in given:
        print("\n".join(missing))
    elif "--check" in given:
        if PAGE.read_text() != page or missing:
            raise SystemExit(
                "docs/methods.md is out of date: run tools/compare_api.py\n" + "\n".join(missing)
            )
    else:
        PAGE.write_text(page)


if __name__ == "__main__":
    main(sys.argv[1:])
