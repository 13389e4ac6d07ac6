# SPDX-License-Identifier: BSD-3-Clause
"""Data IDs of old repositories, translated column by column.

Each value is looked at once, however many files have it: columns are encoded by their
distinct values, those are translated, and the result is spread again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebutler.errors import InstrumentError, known_names
from lakebutler.gen2.dataset_types import KEY, TypePlan
from lakebutler.gen2.options import Options
from lakebutler.gen2.skymaps import PatchGrid
from lakebutler.instruments.cameras.camera import Camera

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Filters", "Translated", "Translator", "first_of_each"]

Value = tuple[Any, str]
"""A translated value, or `None` with the reason."""

_INT64 = 2**63


class Filters:
    """Finds filters and bands by the names that old repositories have for them.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    given : mapping
        What the user says.
    """

    def __init__(self, camera: Camera, given: Mapping[str, str]) -> None:
        self.camera = camera
        self.given = given
        self.bands = {f.band for f in camera.filters}
        self.merged: dict[str, set[str]] = {}
        self.chosen: dict[str, tuple[str, int]] = {}

    def physical(self, name: str) -> str:
        """Find a filter by its name, an alias, or its band.

        Parameters
        ----------
        name : `str`
            As the old repository has it.

        Returns
        -------
        name : `str`
            Of the filter.

        Raises
        ------
        InstrumentError
            Raised if there is none; it lists those that there are.
        """
        wanted = self.given.get(name, name)
        found = self.camera.filters_by_spelling.get(wanted)
        if found is not None:
            return found.name
        of_band = [f.name for f in self.camera.filters if f.band == wanted]
        if not of_band:
            raise self._unknown(name)
        if len(of_band) > 1:
            self.chosen[name] = (of_band[0], len(of_band))
        return of_band[0]

    def band(self, name: str) -> str:
        """Find a band by its name, or by that of one of its filters.

        Parameters
        ----------
        name : `str`
            As the old repository has it.

        Returns
        -------
        band : `str`
            The band.

        Raises
        ------
        InstrumentError
            Raised if there is none; it lists those that there are.
        """
        wanted = self.given.get(name, name)
        found = self.camera.filters_by_spelling.get(wanted)
        band = found.band if found is not None else wanted if wanted in self.bands else None
        if band is None:
            raise self._unknown(name)
        self.merged.setdefault(band, set()).add(name)
        return band

    def _unknown(self, name: str) -> InstrumentError:
        names = [*(f.name for f in self.camera.filters), *sorted(self.bands)]
        return InstrumentError(
            f"{self.camera.name} has no filter {name!r}",
            hint=f"{known_names(name, names, what='filters and bands')}; "
            f"say which it is: --filter {name}=NAME",
        )

    def notes(self) -> list[str]:
        """What was ambiguous."""
        notes = [
            f"{', '.join(sorted(names))} are all the band {band}: coadds of them are told apart no more"
            for band, names in sorted(self.merged.items())
            if len(names) > 1
        ]
        return notes + [
            f"the filter {name} is taken for {chosen}, the first of {count} of this band; "
            "--filter says otherwise"
            for name, (chosen, count) in sorted(self.chosen.items())
        ]


@dataclass
class Translated:
    """Files of a type with their data IDs.

    Attributes
    ----------
    plan : `TypePlan`
        The type.
    table : `pyarrow.Table`
        Columns ``path``, the dimensions, and the old keys with a leading ``_``.
    skipped : `list` [`tuple` [`str`]]
        Path and reason of those that have none.
    """

    plan: TypePlan
    table: pa.Table
    skipped: list[tuple[str, str]] = field(default_factory=list)


class Translator:
    """Translates the data IDs of a repository.

    Parameters
    ----------
    camera : `Camera`
        Its camera.
    options : `Options`
        What is wanted.
    filters : `Filters`
        Names of filters.
    """

    def __init__(self, camera: Camera, options: Options, filters: Filters) -> None:
        self.camera = camera
        self.options = options
        self.filters = filters
        self.exposures: Mapping[int, object] = {}
        self._by_dimension: dict[str, Callable[[str], Value]] = {
            "exposure": self._exposure,
            "visit": self._exposure,
            "detector": self._detector,
            "physical_filter": lambda text: (self.filters.physical(text), ""),
            "band": lambda text: (self.filters.band(text), ""),
            "htm": _integer,
            "subfilter": _integer,
        }

    def translate(self, plan: TypePlan, table: pa.Table, grid: PatchGrid | None = None) -> Translated:
        """Translate the data IDs of files.

        Parameters
        ----------
        plan : `TypePlan`
            Their type.
        table : `pyarrow.Table`
            Their paths and keys.
        grid : `PatchGrid`, optional
            Their skymap, where they have tracts.

        Returns
        -------
        translated : `Translated`
            What they became.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        n = table.num_rows
        columns: dict[str, pa.Array] = {"path": table.column("path").combine_chunks()}
        reasons: list[tuple[pa.Array, pa.Array]] = []
        for dimension, key in plan.keys.items():
            if key in plan.joined:
                source = _joined(table, plan.joined[key])
            elif key in table.column_names:
                source = table.column(key).combine_chunks()
            else:
                continue  # the unit tells it
            if dimension == "patch":
                values, why = _patches(table.column(plan.keys["tract"]).combine_chunks(), source, grid)
            else:
                find = partial(self._tract, grid) if dimension == "tract" else self._by_dimension[dimension]
                values, why = spread(source, find, _type_of(dimension))
            columns[dimension] = values
            if why.null_count < n:
                reasons.append((values, why))
        for dimension, value in plan.constants.items():
            known = grid.name if dimension == "skymap" and grid is not None else value
            columns[dimension] = pa.repeat(pa.scalar(known, _type_of(dimension)), n)
        for key in plan.template.keys:
            columns[f"_{key}"] = table.column(key).combine_chunks()
        made = pa.table(columns)
        if not reasons:
            return Translated(plan, made)
        keep = reasons[0][0].is_valid()
        for values, _ in reasons[1:]:
            keep = pc.and_(keep, values.is_valid())
        why = pc.coalesce(*[reason for _, reason in reasons])
        lost = pc.invert(keep)
        paths = made.column("path").filter(lost).to_pylist()
        skipped = list(zip(paths, why.filter(lost).to_pylist(), strict=True))
        return Translated(plan, made.filter(keep), skipped)

    # ------------------------------------------------------------------- values

    def _exposure(self, text: str) -> Value:
        value, why = _integer(text)
        if value is None:
            return None, why
        if self.options.visits is not None and value not in self.options.visits:
            return None, "not selected"
        if value not in self.exposures:
            return None, f"neither a registry nor a header tells of exposure {value}"
        return value, ""

    def _detector(self, text: str) -> Value:
        named = None if text.isdigit() else self.camera.detectors_by_name.get(text)
        value, why = (named.id, "") if named is not None else _integer(text)
        if value is None:
            return None, why if text.isdigit() else f"{text!r} is no detector of {self.camera.name}"
        if value not in self.camera.detectors_by_id:
            return None, f"{self.camera.name} has no detector {value}"
        if self.options.detectors is not None and value not in self.options.detectors:
            return None, "not selected"
        return value, ""

    def _tract(self, grid: PatchGrid | None, text: str) -> Value:
        value, why = _integer(text)
        if value is None:
            return None, why
        if self.options.tracts is not None and value not in self.options.tracts:
            return None, "not selected"
        why = "" if grid is None else grid.refusal(value)
        return (None, why) if why else (value, "")


def _joined(table: pa.Table, text: str) -> pa.Array:
    """Write the values of several keys as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = KEY.split(text)  # texts and keys in turn
    columns = [
        table.column(part).combine_chunks() if i % 2 else pa.repeat(pa.scalar(part), table.num_rows)
        for i, part in enumerate(parts)
    ]
    return pc.binary_join_element_wise(*columns, "")


def _patches(tracts: pa.Array, patches: pa.Array, grid: PatchGrid | None) -> tuple[pa.Array, pa.Array]:
    """Number patches, which their names tell together with their tracts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def find(text: str) -> Value:
        tract, _, patch = text.partition("/")
        x, _, y = patch.partition(",")
        if grid is None or not (x.isdigit() and y.isdigit()):
            return None, f"{patch!r} is no patch"
        found = grid.patch(int(tract), int(x), int(y))
        if found is None:
            return None, f"tract {tract} of the skymap {grid.name!r} has no patch {patch}"
        return found, ""

    return spread(pc.binary_join_element_wise(tracts, patches, "/"), find, pa.int64())


def spread(column: pa.Array, translate: Callable[[str], Value], kind: Any) -> tuple[pa.Array, pa.Array]:
    """Translate the distinct values of a column.

    Parameters
    ----------
    column : `pyarrow.Array`
        Texts.
    translate : callable
        Gives a value, or `None` and the reason.
    kind : `pyarrow.DataType`
        Type of the values.

    Returns
    -------
    values, reasons : `pyarrow.Array`
        One of each for each row.
    """
    import pyarrow as pa

    encoded = column.dictionary_encode()
    found = [translate(text) for text in encoded.dictionary.to_pylist()]
    values = pa.array([value for value, _ in found], kind).take(encoded.indices)
    return values, pa.array([why or None for _, why in found], pa.string()).take(encoded.indices)


def _integer(text: str) -> Value:
    try:
        value = int(text)
    except ValueError:
        return None, f"{text!r} is no whole number"
    return (value, "") if -_INT64 <= value < _INT64 else (None, f"{text} is too large a number")


def _type_of(dimension: str) -> Any:
    import pyarrow as pa

    texts = ("instrument", "skymap", "band", "physical_filter")
    return pa.string() if dimension in texts else pa.int64()


def first_of_each(table: pa.Table, names: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Part rows into the first of each combination of values, and the others.

    Parameters
    ----------
    table : `pyarrow.Table`
        Rows in order: the first is taken.
    names : sequence of `str`
        Columns that make the combination.

    Returns
    -------
    first, others : `pyarrow.Table`
        Rows in their order; ``others`` has the path of the one that was taken in ``first``.
    """
    import numpy as np
    import pyarrow as pa

    if not names:
        others = table.slice(1)
        path = table.column("path")[0].as_py() if table.num_rows else None
        return table.slice(0, 1), others.append_column(
            "first", pa.array([path] * others.num_rows, pa.string())
        )
    numbered = table.select(list(names)).append_column("_n", pa.array(np.arange(table.num_rows)))
    groups = numbered.group_by(list(names)).aggregate([("_n", "min")])
    if groups.num_rows == table.num_rows:
        return table, table.slice(0, 0).append_column("first", pa.array([], pa.string()))
    chosen = np.sort(groups.column("_n_min").to_numpy())
    rest = np.setdiff1d(np.arange(table.num_rows), chosen)
    joined = numbered.take(pa.array(rest)).join(groups, list(names)).sort_by("_n")
    paths = table.column("path").take(joined.column("_n_min"))
    return table.take(pa.array(chosen)), table.take(pa.array(rest)).append_column("first", paths)
