# SPDX-License-Identifier: BSD-3-Clause
"""Names of files: injective on every disk, and nothing of Python's formatting in templates."""

from __future__ import annotations

import random
import unicodedata
import uuid
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.datastore.files import next_name
from lakebutler.datastore.paths import MAX_PART, MAX_PATH, stored_path_problem
from lakebutler.datastore.template import default_path, escape, parse_template
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import NameRuleError

NASTY = [
    "a b", "a:b", "a*b", "a?b", 'a"b', "a\\b", "a_b", "A b", "a/b", "a//b", "..", ".", "", "a.", ".a",
    "a~b", "a%20b",
    "a~20b", "e\u0301", "\u00e9", "\u0430", "a", "K", "\u212a", "k", "\u0130", "i", "\uff21", "-", "--",
    "a-0123456789ab",
    "a-0123456789AB.json", "x" * 300, "x" * 299 + "y", "\u202ea", "a\0b", "a\nb", "CON", "nul", "~",
    "~~", "~a", "$HOME",
    "{run}", "registry", "butler.yaml", "datastore", "\U0001f52d", "/a", "a/", "../..", "\ud800",
]  # fmt: skip
UNIVERSE = DimensionUniverse()
GROUPS = [
    UNIVERSE.conform(names)
    for names in (
        ["instrument"], ["detector"], ["exposure", "detector"], ["visit"], ["tract", "patch", "band"],
        ["skymap"], [],
        ["physical_filter"], ["htm7"], ["group"], ["tract", "patch", "visit", "detector"],
    )
]  # fmt: skip


def data_id(group: Any, values: list[Any]) -> DataCoordinate:
    exact = tuple(
        values[i]
        if UNIVERSE.dimensions[name].primary_key.type != "int"
        else (zlib.crc32(repr(values[i]).encode()) % 50)
        for i, name in enumerate(group.required)
    )
    return DataCoordinate.from_required_values(group, exact)


def seen_by_any_disk(path: str) -> str:
    """What a path is on a disk that folds case and Unicode."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", path).casefold()).casefold()


def identity(rng: random.Random) -> tuple[str, str, DataCoordinate, uuid.UUID]:
    run = "/".join(rng.choice(NASTY) for _ in range(rng.randint(1, 3)))
    kind = rng.choice(["raw", "Raw", "rAw", "raw_HSC", "a" * 128])
    group = rng.choice(GROUPS)
    coordinate = data_id(group, [rng.choice(NASTY) for _ in group.required])
    text = "\0".join([run, kind, repr(sorted(group.names)), repr(coordinate.required_values)])
    return run, kind, coordinate, uuid.uuid5(uuid.NAMESPACE_OID, text.encode("utf-8", "surrogatepass").hex())


def test_a_hundred_thousand_nasty_identities_have_as_many_names() -> None:
    rng = random.Random(4)
    by_path: dict[str, Any] = {}
    directories = set()
    for _ in range(100_000):
        run, kind, coordinate, uid = identity(rng)
        path = default_path(run, kind, coordinate, uid, ".json")
        key = seen_by_any_disk(path)
        whole = (run, kind, coordinate.dimensions, coordinate.required_values)
        assert by_path.setdefault(key, whole) == whole
        parts = key.split("/")
        directories.update("/".join(parts[:n]) for n in range(1, len(parts)))
        assert stored_path_problem(path) is None
    assert not directories & by_path.keys()  # nobody's file is in the way of a directory


@pytest.mark.parametrize("text", ["{run:/}/{datasetType}", "{run}", "x", "{band:?}/{run:/}.{component:?}"])
def test_templates_of_users_are_as_safe(text: str) -> None:
    rng = random.Random(5)
    template = parse_template(text)
    by_path: dict[str, Any] = {}
    for _ in range(5_000):
        run, kind, coordinate, uid = identity(rng)
        path = template.path(run, kind, coordinate, uid, ".fits")
        whole = (run, kind, coordinate.dimensions, coordinate.required_values)
        assert by_path.setdefault(seen_by_any_disk(path), whole) == whole
        assert stored_path_problem(path) is None
        assert path.startswith("datastore/")


@given(st.text(max_size=40), st.text(max_size=40))
def test_escaping_is_injective(one: str, two: str) -> None:
    assert (escape(one) == escape(two)) == (one == two)


@given(st.text(max_size=2000), st.integers(20, MAX_PART))
def test_an_escaped_text_is_a_plain_part_of_a_path(text: str, limit: int) -> None:
    part = escape(text, limit)
    assert 0 < len(part) <= limit
    assert part.isascii()
    assert part not in {".", ".."}
    assert not set(part) & set("/\\:*?\"<>|%#&' \n\0")
    assert not part.startswith(".")
    assert not part.endswith(".")


@given(st.text(max_size=1100), st.text(min_size=1, max_size=200), st.text(max_size=100))
def test_paths_keep_to_the_limits(run: str, kind: str, value: str) -> None:
    group = UNIVERSE.conform(["group", "detector"])
    coordinate = DataCoordinate.from_required_values(group, tuple(
        7 if UNIVERSE.dimensions[name].primary_key.type == "int" else value for name in group.required
    ))  # fmt: skip
    path = default_path(run, kind, coordinate, uuid.uuid4(), ".fits.fz")
    assert len(path.encode()) <= MAX_PATH
    assert all(0 < len(part.encode()) <= MAX_PART for part in path.split("/"))


def test_a_common_name_is_readable() -> None:
    group = UNIVERSE.conform(["exposure", "detector"])
    coordinate = DataCoordinate.standardize(instrument="HSC", exposure=903342, detector=10, dimensions=group)
    uid = uuid.UUID("01234567-89ab-5def-8123-456789abcdef")
    assert default_path("HSC/raw/all", "raw", coordinate, uid, ".fits") == (
        "datastore/HSC/raw/all/raw/903342/raw_HSC_10_903342-456789abcdef.fits"
    )
    by_patch = DataCoordinate.standardize(
        skymap="s", tract=3, patch=5, dimensions=UNIVERSE.conform(["patch"])
    )
    assert default_path("u/me", "coadd", by_patch, uid, ".fits", "wcs") == (
        "datastore/u/me/coadd.wcs/3/coadd.wcs_s_3_5-456789abcdef.fits"
    )


class Record:
    full_name = "Ab/1"
    obs_id = None
    _secret = "x"


class Expanded:
    """A data ID with records."""

    dimensions = UNIVERSE.conform(["exposure", "detector"])
    required_values = ("HSC", 10, 903342)
    mapping = {"instrument": "HSC", "detector": 10, "exposure": 903342, "group": "g1"}  # noqa: RUF012
    records = {"detector": Record(), "exposure": Record()}  # noqa: RUF012

    def hasRecords(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{run:/}/{datasetType}/x", "a/b/raw/x-456789abcdef.fits"),
        ("{run}", "a_b-456789abcdef.fits"),
        ("{run}_{band:?}_{detector:03d}", "a_b_010-456789abcdef.fits"),
        ("{run}/{band:?}/{detector}", "a_b/10-456789abcdef.fits"),
        ("{run}.{component:?}_{detector.full_name}", "a_b_Ab_1-456789abcdef.fits"),
        ("{exposure.obs_id|group}_{id}", "g1_0123456789ab5def8123456789abcdef-456789abcdef.fits"),
        ("{band|exposure}/{detector.full_name:?/}", "903342/Ab/1-456789abcdef.fits"),
    ],
)
def test_a_template_is_filled_in(text: str, expected: str) -> None:
    uid = uuid.UUID("01234567-89ab-5def-8123-456789abcdef")
    assert parse_template(text).path("a/b", "raw", Expanded(), uid, ".fits") == "datastore/" + expected


def test_a_field_without_value_is_named() -> None:
    with pytest.raises(NameRuleError, match="band") as caught:
        parse_template("{run}/{band}").path("a", "raw", Expanded(), uuid.uuid4(), ".fits")
    assert "{band:?}" in str(caught.value)
    with pytest.raises(NameRuleError, match="_secret"):
        parse_template("{run}/{detector._secret}").path("a", "raw", Expanded(), uuid.uuid4(), ".fits")


@pytest.mark.parametrize(
    "text",
    [
        "", "/{run}", "../{run}", "{run}/../../x", "a/..", "{run!r:>99999999}", "{run:>9999}",
        "{run.__class__.__mro__}",
        "{run[0]}", "{0}", "{}", "{run", "run}", "{{run}}", "{run:99999d}", "{run:30d}", "$HOME/{run}",
        "~\\{run}",
        "file://{run}", "{run}\0", "{run}\n", "{a|}", "{run:}", "{a.b.c}", "x" * 2000,
    ],
)  # fmt: skip
def test_a_hostile_template_is_refused(text: str) -> None:
    with pytest.raises(NameRuleError):
        parse_template(text)


def test_names_that_are_taken_have_successors_in_order() -> None:
    names = [next_name("d/raw_1-0123456789ab.fits.gz", n) for n in range(3)]
    assert names == [
        "d/raw_1-0123456789ab.fits.gz", "d/raw_1-0123456789ab.1.fits.gz", "d/raw_1-0123456789ab.2.fits.gz"
    ]  # fmt: skip
    assert next_name("d/x", 1) == "d/x.1"


def test_what_is_wrong_with_a_template_is_said_in_few_lines() -> None:
    with pytest.raises(NameRuleError) as caught:
        parse_template("{run}/{\n\n\n\n\n\n\n\n}_{detector}")
    assert len(str(caught.value).splitlines()) <= 3
