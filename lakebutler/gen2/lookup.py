# SPDX-License-Identifier: BSD-3-Clause
"""What the old look-up gave for every raw, against what the converted ranges give.

The old look-up was ``taiObs BETWEEN validStart AND validEnd``, a comparison of texts.  It is
done here for all raws at once: sorted ends and cumulated sums tell how many ranges hold a
time, and where that is one, which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.gen2.exposures import Exposures
from lakebutler.instruments.cameras.camera import Camera

if TYPE_CHECKING:
    import numpy as np

    from lakebutler.gen2.parts import Part

__all__ = ["compare_lookups"]

_KEYS = ("detector", "physical_filter", "band")
_WHAT = {0: "raw gets none", 1: "raw gets another"}
_SEVERAL = "raw gets several"
_HAD_NONE = "raw had none"


@dataclass(frozen=True)
class _Raws:
    """Raws of which the old look-up is known.

    Attributes
    ----------
    exposures : `numpy.ndarray`, (n,)
        Numbers of exposures, each once.
    of : `numpy.ndarray`, (r,)
        Position of the exposure of each raw.
    keys : `dict`
        For each of `_KEYS` its values, and the position of each raw's in them.
    """

    exposures: np.ndarray
    of: np.ndarray
    keys: dict[str, tuple[list[Any], np.ndarray]]


def compare_lookups(
    parts: Iterable[Part], exposures: Exposures, camera: Camera
) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare the old look-up with the converted ranges, for every raw and type.

    Parameters
    ----------
    parts : iterable of `Part`
        Raws, and calibrations with their ranges.
    exposures : `Exposures`
        When they were taken, and what the old look-up compared.
    camera : `Camera`
        With the bands of its filters.

    Returns
    -------
    changes : `list` [`dict`]
        A row for each raw for which the old look-up gave one calibration, and the converted
        ranges give another, none, or several; or the old look-up gave none, and they do.
    notes : `list` [`str`]
        Their numbers for each type, and that of raws for which the old look-up failed, since
        it found several.
    """
    parts = list(parts)
    of_calibrations = [part for part in parts if part.certified.texts]
    raws = _find_raws(parts, exposures, camera) if of_calibrations else None
    changes: list[dict[str, Any]] = []
    notes: list[str] = []
    if raws is None:
        return changes, notes
    numbers = raws.exposures.tolist()
    texts = [exposures.looked_up[number] for number in numbers]
    spans = [
        (o.begin_nsec, max(o.end_nsec, o.begin_nsec + 1)) for o in map(exposures.known.get, numbers) if o
    ]
    for part in of_calibrations:
        rows, several = _compare(part, raws, texts, spans)
        none = sum(row["what"] == _HAD_NONE for row in rows)
        for count, words in (
            (
                len(rows) - none,
                "do not get the calibration that Gen2's look-up gave; --report changes lists them",
            ),
            (none, "get a calibration, where Gen2's look-up gave none; --report changes lists them"),
            (several, "get one calibration at most, where Gen2's look-up gave several"),
        ):
            if count:
                notes.append(f"{part.name}: {count} raws {words}")
        changes += rows
    return changes, notes


def _find_raws(parts: Iterable[Part], exposures: Exposures, camera: Camera) -> _Raws | None:
    import numpy as np

    tables = [p.table for p in parts if {"exposure", "detector"} <= set(p.dimensions)]
    if not tables or not exposures.looked_up:
        return None
    number = np.concatenate([table.column("exposure").to_numpy() for table in tables])
    detector = np.concatenate([table.column("detector").to_numpy() for table in tables])
    each, of = np.unique(number, return_inverse=True)
    known = np.array([n in exposures.looked_up and n in exposures.known for n in each.tolist()], bool)
    if not known.any():
        return None
    keep = known[of]
    of = (np.cumsum(known) - 1)[of[keep]]
    each = each[known]
    detectors, place = np.unique(detector[keep], return_inverse=True)
    bands = {f.name: f.band for f in camera.filters}
    filters = [exposures.known[n].physical_filter for n in each.tolist()]
    keys = {"detector": (detectors.tolist(), place)}
    for name, values in (("physical_filter", filters), ("band", [bands.get(f) for f in filters])):
        found = list(dict.fromkeys(values))
        index = {value: i for i, value in enumerate(found)}
        keys[name] = (found, np.array([index[v] for v in values], np.int64)[of])
    return _Raws(each, of, keys)


def _compare(
    part: Part, raws: _Raws, texts: Sequence[str], spans: Sequence[tuple[int, int]]
) -> tuple[list[dict[str, Any]], int]:
    """List the raws that do not get what they got, and count those that got several."""
    import numpy as np

    of_row, of_raw = _groups(part, raws)
    groups = int(of_row.max(initial=0)) + 1
    of_raw = np.where(of_raw < 0, groups, of_raw)  # no calibration has this key
    c = part.certified

    ranks = {t: i for i, t in enumerate(sorted({*texts, *(t for _, *ends in c.texts for t in ends)}))}
    old = _without_overlaps([(int(of_row[i]), i, ranks[a], ranks[b]) for i, a, b in c.texts if a <= b])
    at = np.array([ranks[text] for text in texts], np.int64)[raws.of] + of_raw * len(ranks)
    starts, ends = old[:, 2] + old[:, 0] * len(ranks), old[:, 3] + old[:, 0] * len(ranks)
    count, item = _count(starts, ends + 1, old[:, 1], at + 1, at + 1)

    positions = np.array(c.positions, np.int64)
    exposed = np.array(spans, np.int64)
    edges = np.unique(np.concatenate([np.array([*c.begins, *c.ends], np.int64), exposed.ravel()]))

    def ranked(values: Any, group: np.ndarray) -> np.ndarray:
        placed: np.ndarray = np.searchsorted(edges, np.asarray(values, np.int64)) + group * len(edges)
        return placed

    begins, lasts = ranked(c.begins, of_row[positions]), ranked(c.ends, of_row[positions])
    first, last = (ranked(exposed[:, k][raws.of], of_raw) for k in (0, 1))
    now, new = _count(begins, lasts, positions, last, first + 1)
    wrong = np.flatnonzero(((count == 1) & ((now != 1) | (new != item))) | ((count == 0) & (now > 0)))
    rows = [
        _row(part, raws, i, int(item[i]) if count[i] else None, int(now[i]), int(new[i]))
        for i in wrong.tolist()
    ]
    return rows, int((count > 1).sum())


def _groups(part: Part, raws: _Raws) -> tuple[np.ndarray, np.ndarray]:
    """Number the keys of calibrations, and give raws the same numbers; -1 where there is none."""
    import numpy as np

    of_row = np.zeros(part.table.num_rows, np.int64)
    of_raw = np.zeros(len(raws.of), np.int64)
    for name in _KEYS:
        if name not in part.dimensions:
            continue
        values = part.table.column(name).to_pylist()
        index = {value: i for i, value in enumerate(dict.fromkeys(values))}
        known, place = raws.keys[name]
        mine = np.array([index.get(value, -1) for value in known], np.int64)[place]
        of_row = of_row * len(index) + np.array([index[value] for value in values], np.int64)
        of_raw = np.where((of_raw < 0) | (mine < 0), -1, of_raw * len(index) + mine)
    return of_row, of_raw


def _without_overlaps(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Join the ranges of each calibration that overlap: it is found once, however many hold a time."""
    import numpy as np

    made: list[list[int]] = []
    for group, item, start, end in sorted(rows):
        if made and made[-1][:2] == [group, item] and start <= made[-1][3]:
            made[-1][3] = max(made[-1][3], end)
        else:
            made.append([group, item, start, end])
    return np.array(made, np.int64).reshape(-1, 4)


def _count(
    begins: np.ndarray, ends: np.ndarray, items: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the half-open ranges that begin before and end at or after some places.

    Parameters
    ----------
    begins, ends, items : `numpy.ndarray`, (m,)
        The ranges, and what they are of.
    before, after : `numpy.ndarray`, (r,)
        Ranges are counted with ``begin < before`` and ``end >= after``.

    Returns
    -------
    count, item : `numpy.ndarray`, (r,)
        How many, and where that is one, of what.
    """
    import numpy as np

    first, last = np.argsort(begins, kind="stable"), np.argsort(ends, kind="stable")
    begun = np.searchsorted(begins[first], before)
    over = np.searchsorted(ends[last], after)
    sums = [np.concatenate([[0], np.cumsum(items[order])]) for order in (first, last)]
    return begun - over, sums[0][begun] - sums[1][over]


def _row(part: Part, raws: _Raws, i: int, old: int | None, count: int, new: int) -> dict[str, Any]:
    detectors, place = raws.keys["detector"]
    paths = part.table.column("path")
    certified = paths[new].as_py() if count == 1 else "none" if not count else f"{count} of them"
    return {
        "dataset_type": part.name,
        "data_id": f"exposure {raws.exposures[raws.of[i]]} detector {detectors[place[i]]}",
        "what": _HAD_NONE if old is None else _WHAT.get(count, _SEVERAL),
        "registry": "none" if old is None else paths[old].as_py(),
        "certified": certified,
    }
