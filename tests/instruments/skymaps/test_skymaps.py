# SPDX-License-Identifier: BSD-3-Clause
"""Skymaps: digests and regions against real ones, projections against astropy, finding, registering."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.sphgeom import Angle as SphgeomAngle
from lsst.sphgeom import Circle, ConvexPolygon, HealpixPixelization, LonLat, Region, UnitVector3d

from lakebutler import Butler
from lakebutler.errors import ConflictingDefinitionError, DimensionValueError, FileFormatError
from lakebutler.instruments.cameras.geometry import convex_hull
from lakebutler.instruments.skymaps import (
    SkyMap,
    SkyMapDefinition,
    load_skymap,
    register_skymap,
    registered_skymap,
    skymap_names,
)
from lakebutler.instruments.skymaps.definition import KINDS, with_settings
from lakebutler.instruments.skymaps.layout import healpix_tracts
from lakebutler.instruments.visits.regions import separation_arcsec
from tests.instruments.visits.test_regions import records_of

SMALL = {"kind": "discrete", "raList": [10.0, 359.9], "decList": [20.0, -5.0], "radiusList": [0.1, 0.05]}
SMALL |= {"projection": "TAN", "tractOverlap": 0.0, "legacy": {"patchInnerDimensions": [500, 400]}}


def skymap_of(facts: dict[str, Any]) -> SkyMap:
    return SkyMap(SkyMapDefinition.from_facts(facts))


def real_skymaps(shared_data: Path) -> dict[str, dict[str, Any]]:
    """Parameters that were collected, in our layout, beside what they are to give."""
    kinds = {name: kind for kind, name in KINDS.items()}
    found: dict[str, dict[str, Any]] = {}
    for name, row in yaml.safe_load((shared_data / "geometry/skymaps.yaml").read_text())["skymaps"].items():
        wanted = {k: row.pop(k) for k in ("sha1", "tract_max", "patch_nx_max", "patch_ny_max")}
        row.pop("proven")
        row.pop("registry_name", None)
        found[name] = wanted | {"facts": {"kind": kinds[row.pop("class")], **row}}
    return found


# --------------------------------------------------------------- against real ones


def test_digests_and_sizes_are_those_of_real_skymaps(shared_data: Path) -> None:
    real = real_skymaps(shared_data)
    assert len(real) == 7
    for wanted in real.values():
        skymap = skymap_of(wanted["facts"])
        assert skymap.definition.sha1 == base64.b64decode(wanted["sha1"])
        assert len(skymap) == wanted["tract_max"]
        boxes = skymap.places.boxes
        assert max(box.patches[0] for box in boxes) == wanted["patch_nx_max"]
        assert max(box.patches[1] for box in boxes) == wanted["patch_ny_max"]
    for name in skymap_names():
        definition = SkyMapDefinition.from_facts(load_skymap(name)[1])
        assert definition.sha1 == base64.b64decode(real[name]["sha1"])


@pytest.mark.parametrize(
    ("export", "name", "patches"),
    [
        ("exports/jointcal_hsc_exports.yaml", "hsc_rings_v1", 81),
        ("exports/jointcal_cfht_exports.yaml", "jointcal_cfht_discrete", 121),
        ("registry/hsc-rc2-subset.yaml", "hsc_rings_v1", 2),
    ],
)
def test_regions_are_those_of_the_exports(shared_data: Path, export: str, name: str, patches: int) -> None:
    skymap = skymap_of(real_skymaps(shared_data)[name]["facts"])
    records = records_of(shared_data / export)
    (row,) = records["skymap"]
    hashed = row["hash"]
    assert (hashed if isinstance(hashed, bytes) else base64.b64decode(hashed)) == skymap.definition.sha1
    for row in records["tract"]:
        (mine,) = skymap.tract_regions([row["id"]])
        assert separation_arcsec(mine.tobytes(), row["region"]) < 1e-8
    assert len(records["patch"]) == patches
    for row in records["patch"]:
        mine = skymap.patch_regions(row["tract"])[row["id"]]
        assert separation_arcsec(mine.tobytes(), row["region"]) < 1e-8
        across = skymap.tract(row["tract"]).box.patches[0]
        assert (row["id"] % across, row["id"] // across) == (row["cell_x"], row["cell_y"])


# --------------------------------------------------------------------- projections

VARIETY = [
    {"kind": "rings", "numRings": 12, "projection": "TAN", "tractOverlap": 0.1, "pixelScale": 10.0},
    {"kind": "rings", "numRings": 5, "raStart": 7.0, "pixelScale": 20.0},
    {"kind": "equatorial", "pixelScale": 5.0},
    {"kind": "equatorial", "projection": "TAN", "numTracts": 12, "decRange": [2, 5], "tractOverlap": 0.0},
    {"kind": "healpix", "log2NSide": 1, "pixelScale": 20.0},
    {"kind": "healpix", "log2NSide": 2, "nest": True, "projection": "TAN", "rotation": 0.0},
    {"kind": "dodeca", "pixelScale": 60.0},
    {
        "kind": "dodeca",
        "pixelScale": 60.0,
        "withTractsOnPoles": True,
        "projection": "TAN",
        "tractOverlap": 0.0,
    },
    {**SMALL, "rotation": 30.0},
    {**SMALL, "tractBuilder": "cells", "projection": "STG"},
]


@pytest.mark.parametrize("facts", VARIETY)
def test_pixels_lie_where_astropy_says(facts: dict[str, Any]) -> None:
    skymap = skymap_of(facts)
    rng = np.random.default_rng(3)
    for number in {0, len(skymap) // 3, len(skymap) - 1}:
        tract = skymap.tract(number)
        wcs = WCS(fits.Header(tract.wcs))
        pixels = rng.uniform(0, 1, (50, 2)) * tract.box.size
        ra, dec = tract.sky(pixels)
        expected = wcs.all_pix2world(pixels, 0)
        a, b = (
            np.stack([np.cos(d) * np.cos(r), np.cos(d) * np.sin(r), np.sin(d)], axis=-1)
            for r, d in ((np.radians(ra), np.radians(dec)), np.radians(expected.T))
        )
        assert np.degrees(np.abs(a - b).max()) * 3600 < 1e-6
        assert tract.pixels(ra, dec) == pytest.approx(pixels, abs=1e-5)


@pytest.mark.parametrize("facts", VARIETY)
def test_regions_are_hulls_of_the_outer_corners(facts: dict[str, Any]) -> None:
    skymap = skymap_of(facts)
    number = len(skymap) // 2
    tract = skymap.tract(number)
    (raw,) = skymap.tract_regions([number])
    width, height = tract.box.size
    ends = [(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)]
    corners = [UnitVector3d(LonLat.fromDegrees(*p)) for p in np.stack(tract.sky(ends), axis=-1)]
    hull = convex_hull([(v.x(), v.y(), v.z()) for v in corners])
    assert separation_arcsec(raw.tobytes(), hull.encode()) < 1e-6
    patches = skymap.patch_regions(number)
    assert len(patches) == math.prod(tract.box.patches)
    for patch in patches[:: max(1, len(patches) // 20)]:
        region = Region.decode(patch.tobytes())
        assert convex_hull([(v.x(), v.y(), v.z()) for v in region.getVertices()]) == region
        assert Region.decode(raw.tobytes()).overlaps(region) is not False


# ------------------------------------------------------------------------- finding


def test_arrays_of_positions_find_the_tracts_that_one_by_one_are_found() -> None:
    rng = np.random.default_rng(8)
    ra, dec = rng.uniform(-360, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    for facts in VARIETY:
        skymap = skymap_of(facts)
        found = skymap.findTractIdArray(ra, dec, degrees=True)
        assert found.tolist() == [skymap.findTract(place).id for place in zip(ra, dec, strict=True)]
        assert skymap.findTractIdArray(np.radians(ra), np.radians(dec)).tolist() == found.tolist()


def test_positions_of_all_kinds_are_the_same() -> None:
    skymap = skymap_of(VARIETY[0])
    lonlat = LonLat.fromDegrees(123.0, -41.0)
    kinds = (lonlat, UnitVector3d(lonlat), SkyCoord(123.0, -41.0, unit="deg"), (123.0, -41.0), [123, -41])
    tracts = [skymap.findTract(coord) for coord in kinds]
    assert {tract.id for tract in tracts} == {tracts[0].id}
    assert {tracts[0].findPatch(coord) for coord in kinds} == {tracts[0].findPatch(lonlat)}
    galactic = SkyCoord(123.0, -41.0, unit="deg").galactic
    assert skymap.findTract(galactic).id == tracts[0].id
    several = SkyCoord([1], [2], unit="deg")
    for nonsense in (5, "here", (1.0,), (1, 2, 3), (0.0, 91.0), (math.nan, 0.0), several):
        with pytest.raises(DimensionValueError):
            skymap.findTract(nonsense)


def test_tracts_and_patches_of_an_area_are_those_that_regions_overlap() -> None:
    skymap = skymap_of(VARIETY[0])
    corners = [(359.0, 10.0), (4.0, 10.0), (4.0, 14.0), (359.0, 14.0)]
    area = ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in corners])
    found = skymap.findTractPatchList(corners)
    listed = {(tract.id, patch) for tract, patches in found for patch in patches}
    overlapping = {
        (number, patch)
        for number in skymap.find_overlapping(area)
        for patch, raw in enumerate(skymap.patch_regions(number))
        if Region.decode(raw.tobytes()).overlaps(area) is not False
    }
    assert overlapping <= listed  # the box around the corners is larger than the area
    assert len(listed) < 1.6 * len(overlapping)
    assert [tract.id for tract, _ in found] == sorted(tract.id for tract, _ in found)
    for tract, patches in skymap.findTractPatchList([(2.0, 12.0)]):
        assert patches == tract.findPatchList([(2.0, 12.0)])
    assert skymap.findTractPatchList([]) == []


@pytest.mark.parametrize("on_poles", [False, True])
def test_a_dodecahedron_has_faces_alike_in_order(on_poles: bool) -> None:
    skymap = skymap_of({"kind": "dodeca", "pixelScale": 200.0, "withTractsOnPoles": on_poles})
    assert skymap.definition.facts["legacy"]["patchBorder"] == 250
    assert skymap.definition.facts["tractOverlap"] == 3.5
    assert skymap_of({"kind": "dodeca"}).definition.sha1 != skymap.definition.sha1
    places = skymap.places
    ra, dec = np.radians(places.ra_deg), np.radians(places.dec_deg)
    faces = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
    cosines = np.sort(np.round(faces @ faces.T, 9), axis=1)
    beside = round(1 / math.sqrt(5), 9)
    assert (cosines == [-1.0, *[-beside] * 5, *[beside] * 5, 1.0]).all()
    order = [(-round(d, 6), round(r, 6)) for r, d in zip(places.ra_deg, places.dec_deg, strict=True)]
    assert order == sorted(order)
    corner = faces[0] + faces[1] + faces[2]
    assert bool(places.dec_deg[0] == 90.0) is on_poles
    if not on_poles:
        assert corner[:2] == pytest.approx([0.0, 0.0], abs=1e-15)
    # Each face reaches as far as its corners, and half the overlap beyond.
    reach = np.degrees(np.arccos(corner @ faces[0] / np.linalg.norm(corner)))
    assert (places.radius_deg >= reach + 1.75).all()


@pytest.mark.parametrize("facts", [row for row in VARIETY if row["kind"] != "discrete"])
def test_every_position_has_a_tract_and_a_patch_that_hold_it(facts: dict[str, Any]) -> None:
    skymap = skymap_of(facts)
    low, high = skymap.definition.own.get("decRange", (-90, 90))
    rng = np.random.default_rng(5)
    places = list(zip(rng.uniform(0, 360, 60), rng.uniform(low, high, 60), strict=True))
    places += [(0.0, (low + high) / 2), (359.99999, high - 1e-5), (180.0, low + 1e-5)]
    for ra, dec in places:
        tract = skymap.findTract((ra, dec))
        patch = tract.findPatch((ra, dec))
        assert patch is not None
        assert patch in tract.findPatchList([(ra, dec)])
        assert tract.id in [t.id for t in skymap.findAllTracts((ra, dec))]
        point = UnitVector3d(LonLat.fromDegrees(ra, dec))
        assert Region.decode(skymap.patch_regions(tract.id)[patch].tobytes()).contains(point)
        assert tract.id in skymap.find_overlapping(Circle(point, SphgeomAngle.fromDegrees(1e-4)))


def test_tracts_that_overlap_a_region_are_found_as_one_by_one() -> None:
    skymap = skymap_of(VARIETY[0])
    region = Circle(UnitVector3d(LonLat.fromDegrees(123.0, 41.0)), SphgeomAngle.fromDegrees(20.0))
    every = [Region.decode(raw.tobytes()) for raw in skymap.tract_regions(range(len(skymap)))]
    wanted = [i for i, tract in enumerate(every) if tract.overlaps(region) is not False]
    assert skymap.find_overlapping(region) == wanted
    assert 3 < len(wanted) < len(skymap) / 2


def test_the_rings_go_from_cap_to_cap() -> None:
    skymap = skymap_of(VARIETY[0])
    assert skymap.findTract((12.0, -89.9)).id == 0
    assert skymap.findTract((12.0, 89.9)).id == len(skymap) - 1
    first = skymap.tract(1)
    assert first.dec_deg == pytest.approx(-90 + 180 / 13)
    assert skymap.findTract((first.ra_deg, first.dec_deg)).id == 1
    assert skymap.findTract((359.9999, first.dec_deg)).id == 1


def test_outside_of_its_tracts_a_discrete_skymap_has_no_patch() -> None:
    skymap = skymap_of(SMALL)
    tract = skymap.findTract((190.0, -20.0))
    assert tract.findPatch((190.0, -20.0)) is None
    assert skymap.findAllTracts((190.0, -20.0)) == []
    assert skymap.findTract((0.01, -5.0)).id == 1
    with pytest.raises(DimensionValueError, match="no tract 2"):
        skymap.tract(2)


def test_patches_share_their_borders_and_end_with_the_tract() -> None:
    skymap = skymap_of(SMALL)
    tract = skymap.tract(0)
    nx, ny = tract.box.patches
    ra, dec = tract.sky([(499.0, 100.0), (250.0, 200.0), (499.0, 399.0)])
    found = [tract.findPatchList([(r, d)]) for r, d in zip(ra, dec, strict=True)]
    assert found == [[0, 1], [0], [0, 1, nx, nx + 1]]
    assert (nx, ny) == (5, 6)
    cells = skymap_of({**SMALL, "tractBuilder": "cells"})
    ra, dec = cells.tract(0).sky([(-120.0, 10.0)])
    assert cells.tract(0).findPatchList([(ra[0], dec[0])]) == [0]
    assert cells.tract(0).findPatch((ra[0], dec[0])) is None


@given(st.integers(0, 3), st.floats(0, 360, exclude_max=True), st.floats(-90, 90), st.booleans())
@settings(max_examples=20, deadline=None)
def test_healpix_tracts_are_healpix_pixels_upside_down(order: int, ra: float, dec: float, nest: bool) -> None:
    skymap = skymap_of({"kind": "healpix", "log2NSide": order, "nest": nest, "pixelScale": 30.0})
    tract = skymap.findTract((ra, dec))
    nested = healpix_tracts(2**order, nest=nest)[tract.id]
    pixel = HealpixPixelization(order).index(UnitVector3d(LonLat.fromDegrees(tract.ra_deg, -tract.dec_deg)))
    assert pixel % len(skymap) == nested
    assert tract.findPatch((ra, dec)) is not None


def test_healpix_rings_run_from_one_pole_to_the_other_and_eastwards() -> None:
    skymap = skymap_of({"kind": "healpix", "log2NSide": 2, "pixelScale": 30.0})
    places = [(round(t.dec_deg, 9), t.ra_deg) for t in map(skymap.tract, range(len(skymap)))]
    assert places == sorted(places)
    assert [round(p[1]) for p in places[:4]] == [45, 135, 225, 315]


# --------------------------------------------------------------------- definitions


def test_what_is_written_reads_back_the_same() -> None:
    for facts in VARIETY:
        definition = SkyMapDefinition.from_facts(facts)
        assert SkyMapDefinition.from_facts(json.loads(json.dumps(definition.facts))) == definition
        assert SkyMapDefinition.from_facts(yaml.safe_load(yaml.safe_dump(definition.facts))) == definition


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ([1], "a skymap is a mapping"),
        ({}, "kind is missing"),
        ({"kind": "dodec"}, "kind 'dodec' is none of rings"),
        ({"kind": "dodeca", "withTractsOnPoles": 1}, "withTractsOnPoles 1 is neither"),
        ({"kind": "rings"}, "numRings is missing"),
        ({"kind": "rings", "numRngs": 3}, "no parameter 'numRngs'"),
        ({"kind": "rings", "numRings": 0}, "numRings 0 is no whole number from 1"),
        ({"kind": "rings", "numRings": 2.5}, "numRings 2.5"),
        ({"kind": "rings", "numRings": 3, "pixelScale": 0}, "pixelScale 0 is not from"),
        ({"kind": "rings", "numRings": 3, "pixelScale": math.nan}, "is no number"),
        ({"kind": "rings", "numRings": 3, "projection": "CEA"}, "projection 'CEA' is none of TAN, STG"),
        ({"kind": "rings", "numRings": 3, "tractBuilder": "x"}, "tractBuilder 'x' is none of"),
        ({"kind": "rings", "numRings": 3, "legacy": {"border": 3}}, "legacy: there is no parameter 'border'"),
        ({"kind": "rings", "numRings": 3, "legacy": {"patchInnerDimensions": 4}}, "is no list of 2"),
        ({**SMALL, "raList": []}, "need one value for each tract"),
        ({**SMALL, "raList": ["a", 2]}, "raList 'a' is no number"),
        ({"kind": "equatorial", "decRange": [3, 2]}, "does not begin below its end"),
        ({"kind": "equatorial", "decRange": [3]}, "is no list of 2 numbers"),
        ({"kind": "healpix", "nest": "yes"}, "nest 'yes' is neither"),
    ],
)
def test_a_wrong_parameter_is_named(facts: Any, named: str) -> None:
    with pytest.raises(FileFormatError) as fault:
        SkyMapDefinition.from_facts(facts, "mine.yaml")
    assert str(fault.value).startswith("mine.yaml: ")
    assert named in str(fault.value)


def test_files_are_data(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("name: mine\nkind: rings\nnumRings: 5\n")
    assert load_skymap(good) == ("mine", {"kind": "rings", "numRings": 5})
    for name, content, named in [
        ("a.py", "config.skyMap.name = 'rings'", "configurations are not run"),
        ("b.yaml", "{", "not valid YAML"),
        ("c.yaml", "- 1", "a skymap is a mapping"),
        ("d.yaml", "name: 7", "name 7 is no text"),
        ("e.yaml", "!!python/object/apply:os.system ['true']", "not valid YAML"),
    ]:
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(FileFormatError, match=named):
            load_skymap(path)
    with pytest.raises(FileFormatError, match="there is no file"):
        load_skymap(tmp_path / "nosuch.yaml")
    with pytest.raises(FileFormatError, match="no skymap 'hsc_rings_v2'"):
        load_skymap("hsc_rings_v2")


def test_settings_go_into_nested_parameters() -> None:
    texts = ["cells.cellBorder=0", "legacy.patchBorder=7", "a=[1, 2]"]
    facts = with_settings({"cells": {"cellBorder": 50}}, texts)
    assert facts == {"cells": {"cellBorder": 0}, "legacy": {"patchBorder": 7}, "a": [1, 2]}
    for wrong in ("x", "=3", "a.b.c=1", "a=[", "kind.x=3"):
        with pytest.raises(FileFormatError):
            with_settings({"kind": "rings"}, [wrong])


# --------------------------------------------------------------------- registering


def test_a_skymap_is_registered_in_one_commit_and_found_by_position(
    repository_with: Callable[..., Butler],
) -> None:
    butler = repository_with()
    definition = SkyMapDefinition.from_facts(SMALL)
    before = butler._session.snapshot.version
    added = register_skymap(butler, "small", definition)
    assert butler._session.snapshot.version == before + 1
    skymap = SkyMap(definition)
    patches = [math.prod(skymap.tract(i).box.patches) for i in (0, 1)]
    assert added == {"skymap": 1, "tract": 2, "patch": sum(patches)}
    (record,) = butler.query_dimension_records("skymap")
    assert record.toDict()["hash"] == definition.sha1
    assert (record.tract_max, record.patch_nx_max, record.patch_ny_max) == (2, 5, 6)
    tract = skymap.tract(0)
    ra, dec = (float(v) for v in tract.sky((499.0, 399.0)))
    found = butler.query_data_ids(
        ["patch"], where="patch.region OVERLAPS POINT(ra, dec)", bind={"ra": ra, "dec": dec}, skymap="small"
    )
    assert sorted((d["tract"], d["patch"]) for d in found) == [
        (0, p) for p in tract.findPatchList([(ra, dec)])
    ]
    (patch,) = butler.query_dimension_records("patch", skymap="small", tract=1, patch=4)
    assert patch.region.encode() == skymap.patch_regions(1)[4].tobytes()
    assert register_skymap(butler, "small", definition) == {"skymap": 0, "tract": 0, "patch": 0}


def test_the_definition_is_a_dataset_and_must_be_that_of_the_record(
    repository_with: Callable[..., Butler],
) -> None:
    butler = repository_with()
    register_skymap(butler, "small", SkyMapDefinition.from_facts(SMALL))
    assert registered_skymap(butler, "small").definition.facts == SkyMapDefinition.from_facts(SMALL).facts
    butler.registry.registerRun("other")
    butler.put({**SMALL, "raList": [1.0, 2.0]}, "skyMap", skymap="small", run="other")
    with pytest.raises(DimensionValueError, match="not that of its record"):
        registered_skymap(butler, "small", ["other"])


def test_two_skymaps_share_neither_name_nor_parameters(repository_with: Callable[..., Butler]) -> None:
    butler = repository_with()
    small = SkyMapDefinition.from_facts(SMALL)
    register_skymap(butler, "small", small)
    other = SkyMapDefinition.from_facts({**SMALL, "pixelScale": 1.0})
    with pytest.raises(ConflictingDefinitionError, match="'small' is registered with other parameters"):
        register_skymap(butler, "small", other)
    with pytest.raises(ConflictingDefinitionError, match="parameters of skymap 'small'"):
        register_skymap(butler, "tiny", small)
    register_skymap(butler, "other", other)
    assert len(butler.query_dimension_records("skymap")) == 2
