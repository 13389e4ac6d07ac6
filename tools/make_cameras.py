# SPDX-License-Identifier: BSD-3-Clause
"""Make the camera files of the larger cameras from tables of facts.

    python tools/make_cameras.py TABLES lakebutler/instruments/cameras

TABLES has ``instruments/<camera>.yaml`` (detectors, filters, limits) and
``geometry/<camera>.yaml`` (where the detectors lie, optics).  What those tables do not
have stands below.  Rafts that are laid out alike become one layout and a row each.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Facts = Mapping[str, Any]

SIMULATED = {"detector": 1000, "visit": 7050123199999, "exposure": 7050123199999}  # S adds 5000 years
LSST_VISITS = ["by-seq-start-end", "one-to-one"]
ND = [f"ND_OD{x}" for x in ("0.1", "0.3", "0.5", "0.7", "1.0", "2.0", "0.01", "0.05", "0.4", "3.0", "4.0")]
BENCH = {
    "SDSSu": "u", "SDSSg": "g", "SDSSr": "r", "SDSSi": "i", "SDSSz": "z", "SDSSY": "y", "480nm": "g",
    "650nm": "r", "750nm": "i", "870nm": "z", "950nm": "y", "970nm": "y", "grid": "grid", "spot": "spot",
    "sparsegrid": "sparsegrid", "streak": "streak", "ellipses": "ellipses",
}  # fmt: skip
LEDS = {
    "uv": "u", "blue": "g", "red": "r", "nm750": "i", "nm850": "z", "nm960": "y", "HIGH": "white",
    "LOW": "white",
}  # fmt: skip
PINHOLES = [
    f"pinhole_{n}_{d}" for n in ("1", "2_1", "2_2", "2_3", "2_4") for d in ("1000", "0500", "0200", "0100")
]
GRATINGS = ["empty", "unknown", "ronchi90lpmm", "ronchi170lpmm", "holo4_001", "holo4_003", "blue300lpmm_qn1"]

# name: (table of detectors and filters, title, aliases, class, limit of detectors, raw, header)
CAMERAS: Mapping[str, Facts] = {
    "MegaPrime": {
        "table": "megaprime",
        "title": "MegaPrime/MegaCam, CFHT 3.6 m",
        "aliases": ["megaprime", "MegaCam", "CFHT"],
        "class": "lsst.obs.cfht.MegaPrime",
        "visits": ["one-to-one"],
        "notes": {"day_obs_offset_s": "Midnight UTC is 14:00 in Hawaii: the UTC date is the night."},
        "day_obs_offset_s": 0,
        "raw": {
            "file_names": [r"\d+[obdfptsz]\.fits(\.(gz|fz))?"],
            "units": "each",
            "unit_key": "EXTNAME",
            "unit_pattern": r"ccd\d\d",
        },
        "header": {"translator": "MegaPrime"},
    },
    "LSSTCam": {
        "table": "lsstcam",
        "title": "LSST Camera, Simonyi 8.4 m",
        "aliases": ["lsstCam", "lsstcam"],
        "class": "lsst.obs.lsst.LsstCam",
        "visits": LSST_VISITS,
        "notes": {"day_obs_offset_s": "Noon UTC.  In the laboratory, until 2024-05, midnight Pacific time."},
        "day_obs_offset_s": 43200,
        "raw": {
            "file_names": [
                r"MC_[A-Z]_(?P<day>\d{8})_(?P<seq>\d{6})_(?P<raft>R\d\d)_(?P<slot>S\w\d)\.fits(\.(gz|fz))?",
                r"\d{13}-(?P<raft>R\d\d)-(?P<slot>S\w\d)-det\d{3}\.fits(\.(gz|fz))?",
            ],
            "units": "image",
        },
        "header": {"translator": "LSSTCam"},
    },
    "LSSTComCam": {
        "table": "lsstcomcam",
        "title": "LSST Commissioning Camera, Simonyi 8.4 m",
        "aliases": ["comCam", "ComCam", "comcam"],
        "class": "lsst.obs.lsst.LsstComCam",
        "visits": LSST_VISITS,
        "notes": {"day_obs_offset_s": "Noon UTC.  In the laboratory, until 2020-03, midnight Pacific time."},
        "day_obs_offset_s": 43200,
        "raw": {
            "file_names": [
                r"CC_[A-Z]_(?P<day>\d{8})_(?P<seq>\d{6})_(?P<raft>R22)_(?P<slot>S\d\d)\.fits(\.(gz|fz))?"
            ],
            "units": "image",
        },
        "header": {"translator": "LSSTComCam"},
    },
    "LATISS": {
        "table": "latiss",
        "title": "LSST Atmospheric Transmission Imager and Slitless Spectrograph, AuxTel 1.2 m",
        "aliases": ["latiss", "auxTel"],
        "class": "lsst.obs.lsst.Latiss",
        "visits": LSST_VISITS,
        "notes": {"day_obs_offset_s": "Noon UTC."},
        "day_obs_offset_s": 43200,
        "raw": {
            "file_names": [
                r"AT_[A-Z]_(?P<day>\d{8})_(?P<seq>\d{6})(_R00_S00)?\.fits(\.(gz|fz))?",
                r"\d{13}-det000\.fits",
            ],
            "units": "image",
        },
        "header": {"translator": "LSST_LATISS"},
    },
    "LSSTCam-imSim": {
        "table": None,
        "title": "LSST Camera, images made by imSim",
        "aliases": ["imsim", "imSim"],
        "class": "lsst.obs.lsst.LsstCamImSim",
        "visits": ["one-to-one"],
        "notes": {"day_obs_offset_s": "Noon UTC."},
        "day_obs_offset_s": 43200,
        "limits": {"detector": 1000, "visit": 9999999, "exposure": 9999999},
        "filters": [[f"{b}_sim_1.4", b] for b in "ugrizy"],
        "raw": {"file_names": [r"lsst_a_\d+_R\d\d_S\d\d(_[ugrizy])?\.fits(\.(gz|fz))?"], "units": "image"},
        "header": {"translator": "LSSTCam-imSim"},
    },
}
TAI = 37 / 86400  # days by which TAI is ahead of UTC, in the years of these fixes


def mjd(utc: float) -> float:
    """Give the MJD in TAI of one in UTC."""
    return round(utc + TAI, 6)


def closed_dome(day: int, *ranges: tuple[int, int]) -> list[Facts]:
    """Say that the dome was closed in some exposures of a night, whatever the header says."""
    return [
        {
            "reason": "the dome was closed, the header says otherwise",
            "when": {"DAYOBS": day, "SEQNUM": {"from": low, "to": high}},
            "set": {"VIGN_MIN": "FULLY"},
        }
        for low, high in ranges
    ]


# Headers known to be wrong, from translators/ of lsst/obs_lsst 0e84d755; layout: docs/instruments.md.
FIXES: Mapping[str, Sequence[Facts]] = {
    "LSSTCam": [
        {
            "reason": "without FILTER, FILTER2 means nothing",
            "when": {"FILTER": {"present": False}, "FILTER2": {"present": True}},
            "set": {"FILTER2": None},
        },
        {
            "reason": "the pinhole's name",
            "when": {"FILTER": "ph_05", "DAYOBS": [20231107, 20231108, 20241015, 20241016]},
            "set": {"FILTER": "ph_5"},
        },
        {
            "reason": "the angle of ComCam",
            "when": {"DAYOBS": {"after": 20250301, "before": 20250422}},
            "set": {"ROTPA": {"add": -90}},
        },
        {
            "reason": "half a night turned around",
            "when": {"DAYOBS": 20250422, "SEQNUM": {"before": 251}},
            "set": {"ROTPA": {"add": -180, "wrap": [-180, 180]}},
        },
        *closed_dome(20250518, (0, 99999)),
        *closed_dome(20250703, (743, 745)),
        *closed_dome(20250704, (832, 834)),
        *closed_dome(20250705, (1, 736)),
        *closed_dome(20250707, (744, 823), (864, 943)),
        *closed_dome(20250714, (258, 781)),
        *closed_dome(20250715, (205, 1218)),
        *closed_dome(20250819, (4, 1052)),
    ],
    "LSSTComCam": [
        {
            "reason": "the instrument's name in 2019",
            "when": {"INSTRUME": "LSST_CAMERA", "TELCODE": "CC"},
            "set": {"INSTRUME": "ComCam"},
        },
        {
            "reason": "in the laboratory r was a band, not a filter",
            "when": {"FILTER": ["r", ""], "MJD-OBS": {"to": mjd(58921.0)}},
            "set": {"FILTER": "r_03"},
        },
        {
            "reason": "on the way to Chile there was no filter",
            "when": {"FILTER": ["r", ""], "MJD-OBS": {"after": mjd(58921.0)}},
            "set": {"FILTER": "empty"},
        },
        {
            "reason": "no angle stands for 0",
            "when": {"INSTRUME": {"present": True}, "ROTPA": {"present": False}},
            "set": {"ROTPA": 0.0},
        },
    ],
    "LATISS": [
        {
            "reason": "the clock began in 1970",
            "when": {"DATE-OBS": {"like": "1970*"}},
            "set": {
                "DATE-OBS": {"copy": "DATE"},
                "DATE-BEG": {"copy": "DATE"},
                "MJD-OBS": {"copy": "MJD"},
                "MJD-BEG": {"copy": "MJD"},
                "DATE-END": None,
                "MJD-END": None,
            },
        },
        {
            "reason": "the end was in another time scale, or before the beginning",
            "when": {"MJD-OBS": {"before": mjd(58880.0)}},
            "set": {"DATE-END": None, "MJD-END": None},
        },
        {
            "reason": "GROUPID held the type, before a number",
            "when": {
                "MJD-OBS": {"before": mjd(58794.0)},
                "IMGTYPE": {"present": False},
                "GROUPID": {"like": "*_*", "unlike": "test*"},
            },
            "set": {"IMGTYPE": {"copy": "GROUPID", "until": "_"}},
        },
        {
            "reason": "GROUPID held the type, before details of the focus",
            "when": {
                "MJD-OBS": {"before": mjd(58794.0)},
                "IMGTYPE": {"present": False},
                "GROUPID": {"like": "[Ff][Oo][Cc][Uu][Ss]?*"},
            },
            "set": {"IMGTYPE": "FOCUS"},
        },
        {
            "reason": "GROUPID held the type",
            "when": {
                "MJD-OBS": {"before": mjd(58794.0)},
                "IMGTYPE": {"present": False},
                "GROUPID": {"present": True, "unlike": "test*"},
            },
            "set": {"IMGTYPE": {"copy": "GROUPID"}, "GROUPID": None},
        },
        {
            "reason": "GROUPID repeated the type",
            "when": {"MJD-OBS": {"before": mjd(58794.0)}, "GROUPID": {"same": "IMGTYPE", "unlike": "test*"}},
            "set": {"GROUPID": None},
        },
        {
            "reason": "OBJECT meant a test",
            "when": {"IMGTYPE": "OBJECT", "MJD-OBS": {"before": mjd(58875.833333)}},
            "set": {"IMGTYPE": "ENGTEST"},
        },
        {
            "reason": "the pointing was in radian",
            "when": {"MJD-OBS": {"before": mjd(58876.916667)}},
            "set": {"RA": {"times": 57.29577951308232}, "DEC": {"times": 57.29577951308232}},
        },
        {
            "reason": "the shutter's time is none",
            "when": {"SHUTTIME": {"present": True}},
            "set": {"SHUTTIME": None},
        },
        {
            "reason": "a target without a name",
            "when": {"IMGTYPE": "OBJECT", "OBJECT": {"present": False}},
            "set": {"OBJECT": "NOTSET"},
        },
        {"reason": "the usual frame", "when": {"RADESYS": ""}, "set": {"RADESYS": "ICRS"}},
        {
            "reason": "computed for another place",
            "when": {"MJD-OBS": {"before": mjd(58970.0)}},
            "set": {"RASTART": None, "DECSTART": None, "RAEND": None, "DECEND": None},
        },
        {
            "reason": "hours, not degrees",
            "when": {"MJD-OBS": {"from": mjd(58970.0), "before": mjd(59256.78125)}},
            "set": {"RASTART": {"times": 15}, "RAEND": {"times": 15}},
        },
        {
            "reason": "37 s between TAI and UTC",
            "when": {"MJD-OBS": {"after": mjd(58970.0), "before": mjd(59257.0)}},
            "set": {"RASTART": {"add": 0.15416666666666667}, "RAEND": {"add": 0.15416666666666667}},
        },
        {
            "reason": "turned around",
            "when": {"MJD-OBS": {"after": mjd(59172.0), "before": mjd(59516.0)}},
            "set": {"ROTPA": {"add": -180}},
        },
    ],
    "LSSTComCamSim": [
        {
            "reason": "a simulated telescope looks where it is told",
            "when": {"RASTART": {"present": False}, "RA": {"present": True}, "DEC": {"present": True}},
            "set": {"RASTART": {"copy": "RA"}, "DECSTART": {"copy": "DEC"}},
        },
        {
            "reason": "the usual frame",
            "when": {"RADESYS": {"present": False}, "RA": {"present": True}},
            "set": {"RADESYS": "ICRS"},
        },
    ],
}
LIKE: Mapping[str, Facts] = {
    "LSSTCamSim": {
        "like": "LSSTCam",
        "title": "LSST Camera, simulated observatory",
        "aliases": ["lsstCamSim"],
        "class_name": "lsst.obs.lsst.LsstCamSim",
        "limits": SIMULATED,
        "header": {"translator": "LSSTCamSim"},
    },
    "LSSTComCamSim": {
        "like": "LSSTComCam",
        "title": "LSST Commissioning Camera, simulated observatory",
        "aliases": ["comCamSim", "ComCamSim"],
        "class_name": "lsst.obs.lsst.LsstComCamSim",
        "limits": SIMULATED,
        "raw": {
            "file_names": [
                r"(CC|IM)_[A-Z]_(?P<day>\d{8})_(?P<seq>\d{6})_(?P<raft>R22)_(?P<slot>S\d\d)\.fits(\.(gz|fz))?"
            ],
            "units": "image",
        },
        "header": {"translator": "LSSTComCamSim"},
    },
}


def plain(value: Any) -> Any:
    """Write whole numbers without a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flow(value: Any) -> str:
    """Write a value in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def block(key: str, value: Mapping[str, Any]) -> str:
    """Write a section of plain values."""
    return f"{key}:\n" + "".join(f"  {k}: {flow(v)}\n" for k, v in value.items())


def header_text(name: str, facts: Facts) -> str:
    """Write the section on headers, with the fixes."""
    text = block("header", facts)
    if FIXES.get(name):
        text += "  fixes:\n"
    for fix in FIXES.get(name, ()):
        lines = (f"{key}: {flow(value)}\n" for key, value in fix.items())
        text += "  - " + "    ".join(lines)
    return text


def filters_of(name: str, table: Facts) -> tuple[list[list[Any]], list[Facts]]:
    """Give the rows of the filter table, and the pairs of filters of two wheels."""
    facts = table["filters"]
    if name == "LATISS":
        wheel = [[f["physical_filter"], f["band"]] for f in facts["wheel_filters"]]
        crossed = [[f"empty~{n}", b] for n, b in wheel if n.startswith("SDSS") and n.endswith("_65mm")]
        both = [n for n, _ in wheel if n != "diffuser"]
        return wheel + crossed, [{"first": both, "second": GRATINGS + PINHOLES}]
    if name == "LSSTCam":
        given = [*facts["on_sky"], *facts["other"]]
        rows = [[f["physical_filter"], f["band"], *([f["aliases"]] if "aliases" in f else [])] for f in given]
        sky = [
            f["physical_filter"] for f in given if f["physical_filter"] not in ("none", "unknown", "empty")
        ]
        rows += [[band, band] for band in "ugrizy"]  # names of the design, met in data before 2020
        rows += [[n, "white~nd"] for n in ND]
        rows += [[n, b] for n, b in (BENCH | LEDS).items()]
        return rows, [
            {"first": list(BENCH), "second": ND, "band": "{first}~nd"},
            {"first": sky, "second": list(LEDS)},
        ]
    return [[f["physical_filter"], f["band"]] for f in facts], []


def filters_text(rows: Sequence[Sequence[Any]], joined: Sequence[Facts]) -> str:
    """Write the section on filters."""
    wide = any(len(row) > 2 for row in rows)
    text = f"filters:\n  columns: {'[name, band, aliases]' if wide else '[name, band]'}\n  rows:\n"
    for row in rows:
        text += f"  - {flow([*row, *([[]] if wide and len(row) < 3 else [])])}\n"
    if joined:
        text += "  joined:\n"
        for pair in joined:
            text += "".join(
                f"  {'-' if i == 0 else ' '} {k}: {flow(v)}\n" for i, (k, v) in enumerate(pair.items())
            )
    return text


def optics(geometry: Facts) -> str:
    """Write the section on optics."""
    camera = geometry["camera"]
    angle = camera["field_angle"]
    key = {"radial": "coefficients_rad", "radial_inverse": "coefficients_mm"}[angle["type"]]
    values = angle["coeffs_rad" if angle["type"] == "radial" else "coeffs_mm"]
    numbers = "[" + ", ".join(repr(float(v)) for v in values) + "]"
    return (
        "focal_plane:\n"
        f"  plate_scale_arcsec_per_mm: {camera['plate_scale_arcsec_per_mm']}\n"
        f"  flip_x: {str(camera['flip_x']).lower()}\n"
        f"  padding_px: {camera['default_padding_px']}\n"
        f"  field_angle:\n    kind: {angle['type']}\n    {key}: {numbers}\n"
    )


def shape(d: Facts) -> tuple[Any, ...]:
    """Give what detectors of one kind share: bbox in px, pixel size in mm, reference point in px."""
    return tuple(d["bbox"]), tuple(d["pixel_size"]), tuple(d["refpos"])


def detectors_text(records: Sequence[Facts], geometry: Facts) -> str:
    """Write the section on detectors."""
    placed = {d["id"]: d for d in geometry["detectors"]}
    kinds: dict[tuple[Any, ...], str] = {}
    for record in records:
        kinds.setdefault(shape(placed[record["id"]]), f"ccd{len(kinds) + 1}")
    text = "detectors:\n  kinds:\n"
    for (bbox, pixel, reference), name in kinds.items():
        facts = {"bbox": list(bbox), "pixel_mm": list(pixel), "reference_px": [plain(v) for v in reference]}
        text += f"    {name}: {flow(facts)}\n"
    rafts, layout, rest = alike(records, placed)
    if rafts:
        text += "  layouts:\n    raft:\n      columns: [name, x_mm, y_mm]\n      rows:\n"
        text += "".join(f"      - {flow(row)}\n" for row in layout)
        text += "  rafts:\n    columns: [name, first_id, kind, layout, x_mm, y_mm]\n    rows:\n"
        for name, first, x, y in rafts:
            text += f"    - {flow([name, first, kinds[shape(placed[first])], 'raft', plain(x), plain(y)])}\n"
    if rest:
        text += (
            "  columns: [id, name, raft, name_in_raft, purpose, kind, x_mm, y_mm, z_mm, yaw_deg]\n  rows:\n"
        )
        for r in rest:
            d = placed[r["id"]]
            assert d["pitch"] == d["roll"] == 0, d
            own = [r["id"], r["full_name"], r["raft"], r["name_in_raft"], r["purpose"], kinds[shape(d)]]
            text += f"  - {flow([*own, *(plain(v) for v in d['offset']), plain(d['yaw'])])}\n"
    return text


def alike(
    records: Sequence[Facts], placed: Mapping[int, Facts]
) -> tuple[list[tuple[str, int, float, float]], list[list[Any]], list[Facts]]:
    """Find rafts of nine that repeat one layout about their middle detector."""
    groups: dict[Any, list[Facts]] = {}
    for record in records:
        groups.setdefault(record["raft"], []).append(record)
    rafts, layout, rest = list[tuple[str, int, float, float]](), list[list[Any]](), list[Facts]()
    for name, members in groups.items():
        members = sorted(members, key=lambda r: r["id"])
        middle = placed[members[len(members) // 2]["id"]]["offset"]
        slots = [
            [r["name_in_raft"], *(plain(placed[r["id"]]["offset"][i] - middle[i]) for i in (0, 1))]
            for r in members
        ]
        level = all(not placed[r["id"]]["yaw"] and not placed[r["id"]]["offset"][2] for r in members)
        exact = all(
            slot[1 + i] + middle[i] == placed[r["id"]]["offset"][i]
            for r, slot in zip(members, slots, strict=True)
            for i in (0, 1)
        )
        if len(members) == 9 and level and exact and slots == (layout or slots):
            layout = slots
            rafts.append((name, members[0]["id"], middle[0], middle[1]))
        else:
            rest += members
    return rafts, layout, rest


def records_of(table: Facts | None, geometry: Facts) -> list[Facts]:
    """List the detectors of a camera, one mapping each."""
    if table is None:
        return [
            {**d, "raft": d["full_name"].split("_")[0], "name_in_raft": d["full_name"].split("_")[1]}
            for d in geometry["detectors"]
        ]
    columns = table["detectors"]["columns"]
    return [dict(zip(columns, row, strict=True)) for row in table["detectors"]["rows"]]


def camera_text(name: str, facts: Facts, tables: Path) -> str:
    """Write the file of one camera."""
    geometry = yaml.safe_load((tables / f"geometry/{name}.yaml").read_text())
    table = (
        yaml.safe_load((tables / f"instruments/{facts['table']}.yaml").read_text())
        if facts["table"]
        else None
    )
    limits = facts.get("limits")
    if limits is None and table is not None:
        given = table["registry"]
        limits = {
            "detector": given["detector_max"],
            "visit": given["visit_max"],
            "exposure": given["exposure_max"],
        }
    rows, joined = (facts["filters"], []) if table is None else filters_of(name, table)
    text = "# SPDX-License-Identifier: BSD-3-Clause\n"
    text += f"# {facts['title']}.  Made by tools/make_cameras.py; layout: docs/instruments.md.\n"
    text += f"schema: 1\nname: {name}\ntitle: {facts['title']}\naliases: {flow(facts['aliases'])}\n"
    text += f"class_name: {facts['class']}\nsources:\n"
    sources = dict.fromkeys(s.split(":")[0] + " " + s.rpartition("@")[2][:8] for s in geometry["sources"])
    text += "".join(f"- {source}, camera geometry, limits, filters\n" for source in sources)
    if name == "MegaPrime":
        text += "- lsst/astro_metadata_translator 77d8a89 (2026-06-22), identifiers and days\n"
    text += f"limits: {flow(limits)}\nvisit_systems: {flow(facts['visits'])}\n"
    text += f"# {facts['notes']['day_obs_offset_s']}\nday_obs_offset_s: {facts['day_obs_offset_s']}\n"
    text += filters_text(rows, joined) + block("raw", facts["raw"]) + header_text(name, facts["header"])
    return text + optics(geometry) + detectors_text(records_of(table, geometry), geometry)


def main() -> None:
    """Write the files of all cameras."""
    tables, target = Path(sys.argv[1]), Path(sys.argv[2])
    for name, facts in CAMERAS.items():
        (target / f"{name}.yaml").write_text(camera_text(name, facts, tables))
    for name, facts in LIKE.items():
        text = "# SPDX-License-Identifier: BSD-3-Clause\n"
        text += f"# {facts['title']}.  Made by tools/make_cameras.py; layout: docs/instruments.md.\n"
        text += f"schema: 1\nname: {name}\n"
        for key, value in facts.items():
            if key == "header":
                text += header_text(name, value)
            else:
                text += block(key, value) if key == "raw" else f"{key}: {flow(value)}\n"
        (target / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
