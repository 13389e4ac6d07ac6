# SPDX-License-Identifier: BSD-3-Clause
"""A small repository with a bit of everything, for lakebutler and its forerunner alike.

`fill` takes the package whose butler it is given: `lakebutler`, or the one that
``PY_daf_butler`` has, which has the same names.  Everything is fixed, dataset IDs too.
"""

from __future__ import annotations

from typing import Any

DAY = 20200101


def time(hours: float) -> Any:
    """Hours since 2020-01-01T00:00:00 TAI."""
    from astropy.time import Time

    return Time(58849.0, hours / 24.0, format="mjd", scale="tai")


def nsec(hours: float) -> int:
    """The same in nanoseconds of TAI since 1970."""
    return 1_577_836_800_000_000_000 + round(hours * 3600) * 1_000_000_000


def _exposure(
    instrument: str, number: int, physical_filter: str, day: int, begin: float | None, **facts: Any
) -> dict[str, Any]:
    return {
        "instrument": instrument,
        "id": number,
        "obs_id": f"{instrument}{number:03}",
        "physical_filter": physical_filter,
        "group": f"group{number % 2}",
        "day_obs": DAY + day,
        "span": None if begin is None else (begin, begin + 1),
        **facts,
    }


def _visit(
    instrument: str, number: int, physical_filter: str, day: int, begin: float, **facts: Any
) -> dict[str, Any]:
    return {
        "instrument": instrument,
        "id": number,
        "name": f"{instrument}-{number}",
        "physical_filter": physical_filter,
        "day_obs": DAY + day,
        "span": (begin, begin + 2),
        **facts,
    }


# "span" stands for a timespan, in hours since 2020-01-01.
RECORDS: list[tuple[str, list[dict[str, Any]]]] = [
    (
        "instrument",
        [
            {"name": "A", "visit_max": 1000, "exposure_max": 1000, "detector_max": 4, "class_name": "a.b.C"},
            {"name": "B", "visit_max": 99, "exposure_max": 99, "detector_max": 2, "class_name": "a.b.D"},
            {"name": "Empty", "detector_max": 0, "class_name": "x"},
        ],
    ),
    (
        "physical_filter",
        [
            {"instrument": "A", "name": "g1", "band": "g"},
            {"instrument": "A", "name": "g2", "band": "g"},
            {"instrument": "A", "name": "r1", "band": "r"},
            {"instrument": "B", "name": "r9", "band": "r"},
            {"instrument": "B", "name": "z9", "band": "z"},
        ],
    ),
    ("subfilter", [{"band": "g", "id": 1}, {"band": "g", "id": 2}, {"band": "r", "id": 1}]),
    (
        "detector",
        [
            {
                "instrument": "A",
                "id": 0,
                "full_name": "R0_S0",
                "raft": "R0",
                "name_in_raft": "S0",
                "purpose": "SCIENCE",
            },
            {
                "instrument": "A",
                "id": 1,
                "full_name": "R0_S1",
                "raft": "R0",
                "name_in_raft": "S1",
                "purpose": "SCIENCE",
            },
            {
                "instrument": "A",
                "id": 2,
                "full_name": "R1_S0",
                "raft": "R1",
                "name_in_raft": "S0",
                "purpose": "SCIENCE",
            },
            {"instrument": "A", "id": 3, "full_name": "guide", "purpose": "GUIDER"},
            {"instrument": "B", "id": 0, "full_name": "n1"},
            {"instrument": "B", "id": 1, "full_name": "s%1", "purpose": "SCIENCE"},
        ],
    ),
    ("group", [{"instrument": i, "name": f"group{k}"} for i in "AB" for k in (0, 1)]),
    (
        "day_obs",
        [
            {"instrument": "A", "id": DAY, "span": (0, 24)},
            {"instrument": "A", "id": DAY + 1, "span": (24, 48)},
            {"instrument": "B", "id": DAY, "span": (0, 24)},
            {"instrument": "B", "id": DAY + 5},
        ],
    ),
    (
        "exposure",
        [
            _exposure(
                "A",
                1,
                "g1",
                0,
                1,
                exposure_time=30.0,
                observation_type="science",
                seq_num=1,
                can_see_sky=True,
                has_simulated=False,
                target_name="M31",
                tracking_ra=10.5,
                science_program="P1",
            ),
            _exposure(
                "A",
                2,
                "g1",
                0,
                2,
                exposure_time=30.0,
                observation_type="science",
                seq_num=2,
                can_see_sky=True,
                target_name="M31",
                tracking_ra=-3.25,
                science_program="P1",
            ),
            _exposure(
                "A",
                3,
                "r1",
                0,
                3,
                exposure_time=15.5,
                observation_type="science",
                seq_num=3,
                can_see_sky=True,
                target_name="it's",
                science_program="P2",
            ),
            _exposure(
                "A", 4, "r1", 0, 5, exposure_time=0.0, observation_type="bias", seq_num=4, can_see_sky=False
            ),
            _exposure(
                "A", 5, "g2", 1, 30, exposure_time=60.0, observation_type="flat", seq_num=1, can_see_sky=False
            ),
            _exposure("A", 6, "r1", 1, None, observation_type="science", seq_num=2, target_name=""),
            _exposure("B", 1, "r9", 0, 4, exposure_time=10.0, observation_type="science", seq_num=1),
            _exposure(
                "B", 2, "z9", 0, 6, exposure_time=20.0, observation_type="dark", seq_num=2, can_see_sky=False
            ),
            _exposure(
                "B",
                30,
                "z9",
                5,
                130,
                exposure_time=20.0,
                observation_type="science",
                seq_num=1,
                can_see_sky=True,
            ),
        ],
    ),
    (
        "visit_system",
        [
            {"instrument": "A", "id": 0, "name": "one-to-one"},
            {"instrument": "A", "id": 1, "name": "by-group"},
            {"instrument": "B", "id": 0, "name": "one-to-one"},
        ],
    ),
    (
        "visit",
        [
            _visit("A", 101, "g1", 0, 1, seq_num=1, exposure_time=30.0, target_name="M31"),
            _visit("A", 102, "g1", 0, 1, seq_num=2, exposure_time=60.0, target_name="M31"),
            _visit("A", 103, "r1", 0, 3, seq_num=3, exposure_time=15.5, target_name="it's"),
            _visit("B", 1, "r9", 0, 4, seq_num=1, exposure_time=10.0),
        ],
    ),
    (
        "visit_definition",
        [
            {"instrument": "A", "exposure": 1, "visit": 101},
            {"instrument": "A", "exposure": 1, "visit": 102},
            {"instrument": "A", "exposure": 2, "visit": 102},
            {"instrument": "A", "exposure": 3, "visit": 103},
            {"instrument": "B", "exposure": 1, "visit": 1},
        ],
    ),
    (
        "visit_system_membership",
        [
            {"instrument": "A", "visit": 101, "visit_system": 0},
            {"instrument": "A", "visit": 102, "visit_system": 1},
            {"instrument": "A", "visit": 103, "visit_system": 0},
            {"instrument": "A", "visit": 103, "visit_system": 1},
            {"instrument": "B", "visit": 1, "visit_system": 0},
        ],
    ),
    ("visit_detector_region", [{"instrument": "A", "visit": 101, "detector": 0}]),
    (
        "skymap",
        [
            {"name": "rings", "hash": b"\x01" * 20, "tract_max": 10, "patch_nx_max": 2, "patch_ny_max": 2},
            {"name": "discrete", "hash": b"\x02" * 20, "tract_max": 1},
        ],
    ),
    ("tract", [{"skymap": "rings", "id": 4}, {"skymap": "rings", "id": 5}, {"skymap": "discrete", "id": 0}]),
    (
        "patch",
        [
            {"skymap": "rings", "tract": 4, "id": 0, "cell_x": 0, "cell_y": 0},
            {"skymap": "rings", "tract": 4, "id": 1, "cell_x": 1, "cell_y": 0},
            {"skymap": "rings", "tract": 5, "id": 0, "cell_x": 0, "cell_y": 0},
            {"skymap": "discrete", "tract": 0, "id": 0, "cell_x": 0, "cell_y": 0},
        ],
    ),
]

# Name, dimensions, whether it is a calibration.
DATASET_TYPES: list[tuple[str, tuple[str, ...], bool]] = [
    ("raw", ("instrument", "exposure", "detector"), False),
    ("calexp", ("instrument", "visit", "detector"), False),
    ("bias", ("instrument", "detector"), True),
    ("dark", ("instrument", "detector"), True),
    ("flat", ("instrument", "detector", "physical_filter"), True),
    ("camera", ("instrument",), True),
    ("coadd", ("skymap", "tract", "patch", "band"), False),
    ("config", (), False),
    ("nightly", ("instrument", "day_obs"), False),
    ("unused", ("instrument", "visit"), False),
]

COLLECTIONS: list[tuple[str, str]] = [
    ("A/raw", "RUN"),
    ("B/raw", "RUN"),
    ("u/one", "RUN"),
    ("u/two", "RUN"),
    ("calibs/one", "RUN"),
    ("calibs/two", "RUN"),
    ("coadds", "RUN"),
    ("empty", "RUN"),
    ("tag", "TAGGED"),
    ("calib", "CALIBRATION"),
    ("calib2", "CALIBRATION"),
    ("raws", "CHAINED"),
    ("chain", "CHAINED"),
    ("back", "CHAINED"),
    ("calibs", "CHAINED"),
]

CHAINS: dict[str, list[str]] = {
    "raws": ["A/raw", "B/raw"],
    "chain": ["u/two", "u/one", "raws"],
    "back": ["u/one", "u/two"],
    "calibs": ["calib", "calib2", "calibs/one"],
}

# Dataset type, run, data IDs (in the order of the type's dimensions above).
DATASETS: list[tuple[str, str, list[tuple[Any, ...]]]] = [
    ("raw", "A/raw", [("A", e, d) for e in (1, 2, 3, 4, 5, 6) for d in (0, 1, 2) if (e, d) != (4, 2)]),
    ("raw", "B/raw", [("B", 1, 0), ("B", 1, 1), ("B", 2, 0), ("B", 30, 1)]),
    ("calexp", "u/one", [("A", 101, 0), ("A", 101, 1), ("A", 102, 0), ("A", 103, 2)]),
    ("calexp", "u/two", [("A", 101, 0), ("A", 103, 0), ("B", 1, 0)]),
    ("bias", "calibs/one", [("A", 0), ("A", 1), ("B", 0)]),
    ("bias", "calibs/two", [("A", 0), ("A", 1), ("A", 2)]),
    ("dark", "calibs/one", [("A", 0), ("A", 1)]),
    ("flat", "calibs/one", [("A", 0, "g1"), ("A", 0, "r1"), ("A", 1, "g1"), ("B", 0, "r9")]),
    ("flat", "calibs/two", [("A", 0, "g1")]),
    ("camera", "calibs/one", [("A",), ("B",)]),
    (
        "coadd",
        "coadds",
        [("rings", 4, 0, "g"), ("rings", 4, 0, "r"), ("rings", 5, 0, "g"), ("discrete", 0, 0, "z")],
    ),
    ("config", "u/one", [()]),
    ("config", "u/two", [()]),
    ("nightly", "u/one", [("A", DAY), ("B", DAY + 5)]),
]

# Collection, members: dataset type, run, data ID.
TAGS: list[tuple[str, list[tuple[str, str, tuple[Any, ...]]]]] = [
    (
        "tag",
        [
            ("raw", "A/raw", ("A", 1, 0)),
            ("raw", "A/raw", ("A", 3, 1)),
            ("calexp", "u/one", ("A", 101, 0)),
            ("bias", "calibs/two", ("A", 1)),
        ],
    ),
]

# Collection, begin and end (hours since 2020-01-01), members.
CERTIFIED: list[tuple[str, tuple[float | None, float | None], list[tuple[str, str, tuple[Any, ...]]]]] = [
    (
        "calib",
        (0, 2),
        [
            ("bias", "calibs/one", ("A", 0)),
            ("bias", "calibs/one", ("A", 1)),
            ("bias", "calibs/one", ("B", 0)),
        ],
    ),
    ("calib", (2.5, None), [("bias", "calibs/two", ("A", 0))]),
    ("calib", (10, 40), [("bias", "calibs/two", ("A", 1))]),
    ("calib", (None, None), [("dark", "calibs/one", ("A", 0)), ("camera", "calibs/one", ("A",))]),
    ("calib", (0, 4), [("flat", "calibs/one", ("A", 0, "g1")), ("flat", "calibs/one", ("A", 0, "r1"))]),
    ("calib", (20, 40), [("flat", "calibs/one", ("A", 0, "g1")), ("camera", "calibs/one", ("B",))]),
    ("calib2", (None, 3), [("bias", "calibs/two", ("A", 0)), ("bias", "calibs/two", ("A", 2))]),
    ("calib2", (None, None), [("flat", "calibs/two", ("A", 0, "g1"))]),
    ("calib2", (3, 5), [("dark", "calibs/one", ("A", 1))]),
]


def fill(butler: Any, package: Any) -> dict[tuple[str, str, tuple[Any, ...]], Any]:
    """Put everything into an empty repository; return the datasets by type, run and data ID."""
    registry = butler.registry
    for element, rows in RECORDS:
        registry.insertDimensionData(element, *[_row(row, package) for row in rows])
    types = {}
    for name, dimensions, is_calibration in DATASET_TYPES:
        types[name] = package.DatasetType(
            name, dimensions, "StructuredDataDict", universe=butler.dimensions, isCalibration=is_calibration
        )
        registry.registerDatasetType(types[name])
    for name, kind in COLLECTIONS:
        registry.registerCollection(name, package.CollectionType.from_name(kind))
    mode = package.DatasetIdGenEnum.DATAID_TYPE_RUN
    refs: dict[tuple[str, str, tuple[Any, ...]], Any] = {}
    keys = {name: dimensions for name, dimensions, _ in DATASET_TYPES}
    for name, run, values in DATASETS:
        data_ids = [dict(zip(keys[name], value, strict=True)) for value in values]
        made = registry.insertDatasets(types[name], data_ids, run=run, idGenerationMode=mode)
        refs.update({(name, run, value): ref for value, ref in zip(values, made, strict=True)})
    for tag, members in TAGS:
        registry.associate(tag, [refs[member] for member in members])
    for collection, (begin, end), members in CERTIFIED:
        span = package.Timespan(None if begin is None else time(begin), None if end is None else time(end))
        registry.certify(collection, [refs[member] for member in members], span)
    for chain, children in CHAINS.items():
        registry.setCollectionChain(chain, children)
    return refs


def _row(row: dict[str, Any], package: Any) -> dict[str, Any]:
    row = dict(row)
    span = row.pop("span", None)
    if span is not None:
        row["timespan"] = package.Timespan(time(span[0]), time(span[1]))
    return row
