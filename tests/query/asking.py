# SPDX-License-Identifier: BSD-3-Clause
"""Ask the same things of lakebutler and of its forerunner, and write the answers as JSON.

Run by either interpreter: ``asking.py PACKAGE ROOT REQUESTS ANSWERS``.  A request
is a mapping: ``kind`` (datasets, data_ids, records) and the arguments of the
query method; ``joins`` are dataset searches, ``args`` keywords.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import warnings
from pathlib import Path
from typing import Any

Request = dict[str, Any]

# ---------------------------------------------------------------------- requests

_COMPARED = {
    "exposure": ("exposure", list(range(1, 8))),
    "detector": ("detector", [0, 1, 2, 3, 9]),
    "visit": ("visit", [101, 102, 103, 1]),
    "day_obs": ("day_obs", [20200101, 20200102, 20200106]),
    "exposure.seq_num": ("exposure", [1, 2, 3, 4]),
    "exposure.exposure_time": ("exposure", [0.0, 15.5, 30, 60.0]),
    "exposure.tracking_ra": ("exposure", [10.5, -3.25, 0]),
    "visit.exposure_time": ("visit", [15.5, 30.0, 60]),
    "visit_system": ("visit_system", [0, 1]),
    "physical_filter": ("physical_filter", ["g1", "g2", "r1", "r9", "z9", "x"]),
    "band": ("band", ["g", "r", "z", "y"]),
    "group": ("group", ["group0", "group1"]),
    "exposure.target_name": ("exposure", ["M31", "", "m31"]),
    "exposure.observation_type": ("exposure", ["science", "bias", "flat"]),
    "detector.raft": ("detector", ["R0", "R1"]),
    "detector.full_name": ("detector", ["R0_S0", "guide", "n1"]),
    "visit.name": ("visit", ["A-101", "B-1"]),
    "detector.purpose": ("detector", ["SCIENCE", "GUIDER"]),
}
_TIMESPANS = ["exposure.timespan", "visit.timespan", "day_obs.timespan"]
_TIMES = [
    "2020-01-01T00:30:00",
    "2020-01-01T02:00:00",
    "2020-01-01T03:30:00",
    "2020-01-02T06:30:00",
    "2020-01-07",
]
_SEARCHES = [
    ("raw", ["A/raw"]),
    ("raw", ["raws"]),
    ("raw", ["tag", "chain"]),
    ("calexp", ["chain"]),
    ("calexp", ["back"]),
    ("bias", ["calib"]),
    ("bias", ["calibs"]),
    ("bias", ["calib2", "calibs/one"]),
    ("flat", ["calibs"]),
    ("flat", ["calib"]),
    ("camera", ["calib"]),
    ("nightly", ["back"]),
    ("coadd", ["coadds"]),
]
_DIMENSIONS = [
    ["exposure"],
    ["detector"],
    ["exposure", "detector"],
    ["visit"],
    ["visit", "exposure"],
    ["band"],
    ["physical_filter"],
    ["instrument"],
    ["visit", "visit_system"],
    ["day_obs"],
    ["exposure", "physical_filter"],
]
_ELEMENTS = ["exposure", "visit", "detector", "physical_filter", "day_obs", "visit_definition", "instrument"]


def _literal(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)


def _atom(rng: random.Random) -> str:
    form = rng.randrange(12)
    name, (_, values) = rng.choice(list(_COMPARED.items()))
    if form < 5:
        return f"{name} {rng.choice(['=', '!=', '<', '<=', '>', '>='])} {_literal(rng.choice(values))}"
    if form < 7:
        chosen = rng.sample(values, rng.randint(1, len(values)))
        return f"{name} {rng.choice(['', 'NOT '])}IN ({', '.join(map(_literal, chosen))})"
    if form == 7:
        name = rng.choice(["exposure", "detector", "visit", "exposure.seq_num"])
        return f"{name} IN ({rng.randint(0, 2)}..{rng.randint(3, 103)}:{rng.randint(1, 3)})"
    if form == 8:
        return f"{name} {rng.choice(['=', '!='])} NULL"
    if form == 9:
        first, last = sorted(rng.sample(_TIMES, 2))
        right = rng.choice([f"T'{first}/tai'", f"(T'{first}/tai', T'{last}/tai')", f"(NULL, T'{last}/tai')"])
        return f"{rng.choice(_TIMESPANS)} OVERLAPS {right}"
    if form == 10:
        left = rng.choice(["exposure", "detector", "exposure.seq_num", "visit"])
        return (
            f"({left} * {rng.randint(1, 3)} + {rng.randint(0, 4)}) {rng.choice('=<>')} {rng.randint(1, 12)}"
        )
    return rng.choice(
        [
            "exposure.can_see_sky",
            "exposure.has_simulated",
            "GLOB(detector.full_name, 'R?_S*')",
            "GLOB(exposure.target_name, 'M*')",
            "exposure % 2 = 1",
            "detector / 2 < 1",
        ]
    )


def _condition(rng: random.Random, depth: int = 2) -> str:
    form = rng.randrange(4) if depth else 0
    if form < 2:
        return _atom(rng)
    if form == 2:
        return f"NOT ({_condition(rng, depth - 1)})"
    word = rng.choice([" AND ", " OR "])
    return "(" + word.join(_condition(rng, depth - 1) for _ in range(rng.randint(2, 3))) + ")"


def generate(count: int, seed: int = 1) -> list[Request]:
    """Make random requests that both should understand, the same ones each time."""
    rng = random.Random(seed)
    requests: list[Request] = []
    for _ in range(count):
        where = f"instrument IN ('A', 'B') AND {_condition(rng)}"
        kind = rng.choice(["datasets", "datasets", "data_ids", "data_ids", "records"])
        request: Request = {"kind": kind, "where": where}
        if kind == "datasets":
            name, collections = rng.choice(_SEARCHES)
            request |= {"dataset_type": name, "collections": collections, "find_first": rng.random() < 0.7}
        elif kind == "data_ids":
            request["dimensions"] = rng.choice(_DIMENSIONS)
            if rng.random() < 0.4:
                request["joins"] = [rng.choice(_SEARCHES[:-1])]
        else:
            request["element"] = rng.choice(_ELEMENTS)
        requests.append(request)
    return requests


# ----------------------------------------------------------------------- answers


def answer(butler: Any, request: Request) -> Any:
    """Rows in a fixed order, each a list of strings and numbers; or the name of the error."""
    try:
        rows = sorted(_ask(butler, request), key=json.dumps)
    except Exception as exc:
        return {"error": type(exc).__name__, "text": str(exc)[:300]}
    return rows


def _ask(butler: Any, request: Request) -> list[list[Any]]:
    arguments = dict(request)
    kind = arguments.pop("kind")
    where = arguments.pop("where", "")
    binds = arguments.pop("bind", None)
    keywords = arguments.pop("args", {})
    with butler.query() as query:
        for name, collections in arguments.pop("joins", []):
            query = query.join_dataset_search(name, collections)
        results = {
            "datasets": query.datasets,
            "data_ids": query.data_ids,
            "records": query.dimension_records,
        }[kind]
        positional = [arguments.pop(k) for k in ("dataset_type", "dimensions", "element") if k in arguments]
        found = results(*positional, **arguments)
        if where or binds:
            found = found.where(where, bind=binds)
        if keywords:
            found = found.where(**keywords)
        return [_row(kind, item) for item in found]


def _row(kind: str, item: Any) -> list[Any]:
    if kind == "datasets":
        return [str(item.id), item.run, *item.dataId.full_values]
    if kind == "data_ids":
        return list(item.full_values)
    return [v for v in item.toDict().values() if isinstance(v, str | int | float | bool | None)]


def main() -> None:
    package, root, requests, answers = sys.argv[1:]
    if requests == "fill":
        from scenario import fill  # type: ignore[import-not-found]

        module = importlib.import_module(package)
        module.Butler.makeRepo(root)
        fill(module.Butler.from_config(root, writeable=True), module)
        return
    warnings.simplefilter("ignore")
    butler = importlib.import_module(package).Butler.from_config(root)
    wanted = json.loads(Path(requests).read_text())
    Path(answers).write_text(json.dumps([answer(butler, request) for request in wanted]))


if __name__ == "__main__":
    main()
