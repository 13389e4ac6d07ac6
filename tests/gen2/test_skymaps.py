# SPDX-License-Identifier: BSD-3-Clause
"""Skymaps of old repositories: told by their own files, which are never run, and registered."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler
from lakebutler.errors import ButlerError, ConflictingDefinitionError, FileFormatError, RepositoryFormatError
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.options import Options
from lakebutler.gen2.skymap_files import read_program, read_skymap
from lakebutler.gen2.skymaps import SkyMaps
from lakebutler.instruments.skymaps.definition import SkyMapDefinition, load_skymap
from lakebutler.instruments.skymaps.register import register_skymap, registered_skymap
from tests.gen2.pickles import PROGRAM, skymap_pickle

HSC = "lsst.obs.hsc.HscMapper"
CALEXP = "deepCoadd-results/HSC-R/{0}/{1}/calexp-HSC-R-{0}-{1}.fits"
DISC = {
    "kind": "discrete",
    "raList": [320.4, 10.0],
    "decList": [0.3, -20.0],
    "radiusList": [0.2, 0.4],
    "projection": "TAN",
    "pixelScale": 0.168,
    "tractOverlap": 0.0,
}
RINGS = """
config.numRings={rings}
config.raStart=0.0
config.projection='TAN'
config.pixelScale=0.168
config.tractOverlap=1.0/60
config.tractBuilder['legacy'].patchBorder=100
config.tractBuilder['legacy'].patchInnerDimensions=[4000, 4000]
config.tractBuilder.name='legacy'
"""


@pytest.fixture
def hsc(sparse: Callable[..., Path]) -> Callable[..., Path]:
    """Make a repository of HSC with coadds of some tracts and patches."""

    def make(*places: tuple[int, str], below: str = "") -> Path:
        root = sparse("hsc", [(below + CALEXP.format(*place), 10) for place in places])
        (root / "_mapper").write_text(HSC)
        return root

    return make


def put(root: Path, data: bytes, path: str = "deepCoadd/skyMap.pickle") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)


def patches(plan: Any) -> dict[str, set[tuple[str, int, int]]]:
    """Skymap, tract and patch of all coadds, by repository."""
    found: dict[str, set[tuple[str, int, int]]] = {}
    for part in plan.parts:
        if part.name == "deepCoadd_calexp":
            rows = part.table.select(["skymap", "tract", "patch"]).to_pylist()
            found[part.root.rpartition("/")[2]] = {tuple(row.values()) for row in rows}
    return found


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_tells_its_skymap_and_is_not_loaded(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "skyMap.pickle"
    path.write_bytes(skymap_pickle("DiscreteSkyMap", PROGRAM, protocol=protocol))
    told = read_skymap(str(path))
    assert SkyMapDefinition.from_facts(told.facts).sha1 == SkyMapDefinition.from_facts(DISC).sha1
    path.write_bytes(skymap_pickle("RingsSkyMap", RINGS.format(rings=120), 1, protocol=protocol))
    told = read_skymap(str(path))
    known = SkyMapDefinition.from_facts(load_skymap("hsc_rings_v1")[1])
    assert SkyMapDefinition.from_facts(told.facts).sha1 == known.sha1
    assert told.version == 1


def test_a_hostile_pickle_or_program_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (eval, (f"open({str(mark)!r}, 'w')",))

    both = pickle.dumps([Hostile(), "lsst.skymap RingsSkyMap", "config.numRings=3"])
    (tmp_path / "a.pickle").write_bytes(both)
    assert read_skymap(str(tmp_path / "a.pickle")).facts["numRings"] == 3
    program = f"open({str(mark)!r}, 'w')\nconfig.skyMap = 'rings'\n"
    program += "config.skyMap['rings'].numRings = __import__('os').getpid()"
    (tmp_path / "a.py").write_text(program)
    assert read_skymap(str(tmp_path / "a.py")).facts == {"kind": "rings", "tractBuilder": "legacy"}
    for name, data in (
        ("b.pickle", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff."),
        ("b.pickle", b"not a pickle"),
        ("b.pickle", b""),
        ("b.py", b"config.skyMap = (" + b"(" * 5000),
        ("b.py", b"\0"),
        ("b.py", b"config.skyMap = 9" + b"9" * 10_000),
        ("b.py", b"config.other = 'rings'"),
        ("b.pickle", b"x" * (2 << 20)),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(RepositoryFormatError, match=name):
            read_skymap(str(tmp_path / name))
    with pytest.raises(RepositoryFormatError, match="cannot be read"):
        read_skymap(str(tmp_path / "gone.py"))
    assert not mark.exists()


def test_constants_of_programs() -> None:
    text = "root.a['b'].c = -1.5\nconfig.d = 1/60\nconfig.e = [1, 2*3]\n"
    text += "other.f = 1\nconfig.g = f()\nconfig.h = 1/0"
    assert read_program(text) == {("a", "b", "c"): -1.5, ("d",): 1 / 60, ("e",): [1, 6]}
    assert read_program("config.a = 10**10**10") == {}


def test_the_skymap_of_a_pickle_is_registered_in_the_same_commit(
    hsc: Callable[..., Path], tmp_path: Path
) -> None:
    root = hsc((0, "1,0"), (1, "3,2"), (2, "0,0"), (0, "9,9"))
    put(root, skymap_pickle("DiscreteSkyMap", PROGRAM))
    Butler.makeRepo(tmp_path / "new")
    with Butler.from_config(tmp_path / "new") as butler:
        before = butler.version
    dry = convert_gen2(root, tmp_path / "new", dry_run=True)
    done = convert_gen2(root, tmp_path / "new")
    assert done.report.to_json() == dry.report.to_json()
    with Butler.from_config(tmp_path / "new", collections="HSC/defaults") as butler:
        assert butler.version == before + 1
        assert (
            registered_skymap(butler, "deepCoadd_skyMap").definition.sha1
            == SkyMapDefinition.from_facts(DISC).sha1
        )
        refs = butler.query_datasets("deepCoadd_calexp")
        assert {(ref.dataId["tract"], ref.dataId["patch"]) for ref in refs} == {(0, 1), (1, 3 + 2 * 5)}
        (record,) = butler.query_dimension_records("patch", skymap="deepCoadd_skyMap", tract=1, patch=13)
        assert (record.cell_x, record.cell_y) == (3, 2)
        assert record.region is not None
        assert butler.get("skyMap", skymap="deepCoadd_skyMap")["raList"] == [320.4, 10.0]
    reasons = {row["path"]: row["reason"] for row in done.report.not_converted()}
    assert reasons[CALEXP.format(2, "0,0")] == "the skymap 'deepCoadd_skyMap' has no tract 2"
    assert reasons[CALEXP.format(0, "9,9")] == "tract 0 of the skymap 'deepCoadd_skyMap' has no patch 9,9"
    again = convert_gen2(root, tmp_path / "new")
    assert again.written is not None
    assert (again.written.datasets, again.written.report_run) == (0, None)


def test_a_configuration_will_do_and_the_user_names_it(hsc: Callable[..., Path], tmp_path: Path) -> None:
    root = hsc((1, "3,2"))
    text = PROGRAM.replace("config.", "config.skyMap['discrete'].") + "config.skyMap.name='discrete'\n"
    put(root, text.encode(), "config/deep_makeSkyMap.py")
    assert list(plan_gen2(root, Options(skymap="discrete/mine")).skymaps) == ["discrete/mine"]
    plan = plan_gen2(root, Options(skymap="mine"))
    assert list(plan.skymaps) == ["mine"]
    assert patches(plan) == {"hsc": {("mine", 1, 13)}}
    assert plan.chains["HSC/defaults"] == ("skymaps", "HSC/runs/root/direct")
    other = tmp_path / "other.yaml"
    other.write_text("kind: discrete\nraList: [1.0, 2.0]\ndecList: [3.0, 4.0]\nradiusList: [1.0, 1.0]\n")
    plan = plan_gen2(root, Options(skymap=f"chosen={other}"))
    assert list(plan.skymaps) == ["deepCoadd_skyMap"]
    assert any("tells another skymap than chosen, and is followed" in note for note in plan.report.notes)
    (root / "config/deep_makeSkyMap.py").write_text("config.skyMap = unknown")
    assert list(plan_gen2(root, Options(skymap=f"chosen={other}")).skymaps) == ["chosen"]


def test_known_skymaps_have_their_own_names(hsc: Callable[..., Path]) -> None:
    root = hsc((9813, "4,4"))
    put(root, skymap_pickle("RingsSkyMap", RINGS.format(rings=120), 1))
    plan = plan_gen2(root)
    assert list(plan.skymaps) == ["hsc_rings_v1"]
    assert patches(plan) == {"hsc": {("hsc_rings_v1", 9813, 40)}}
    (root / "deepCoadd/skyMap.pickle").unlink()
    for given in ("hsc_rings_v1", "mine=hsc_rings_v1"):
        assert list(plan_gen2(root, Options(skymap=given)).skymaps) == [given.partition("=")[0]]


def test_tracts_that_version_0_numbered_otherwise_are_left_out(hsc: Callable[..., Path]) -> None:
    # 3 rings of 8 tracts each, after that of the south pole.
    root = hsc((1, "0,0"), (8, "0,0"), (9, "0,0"), (17, "0,0"))
    put(root, skymap_pickle("RingsSkyMap", RINGS.format(rings=3).replace("0.168", "60.0"), 0))
    plan = plan_gen2(root)
    assert {tract for _, tract, _ in patches(plan)["hsc"]} == {1, 8}
    why = {row["reason"] for row in plan.report.not_converted() if row["status"] == "skipped"}
    assert why == {f"tract {t} has another number here than in skymaps of version 0" for t in (9, 17)}
    assert any("version 0" in note for note in plan.report.notes)
    put(root, skymap_pickle("RingsSkyMap", RINGS.format(rings=3).replace("0.168", "60.0"), 1))
    assert {tract for _, tract, _ in patches(plan_gen2(root))["hsc"]} == {1, 8, 9, 17}


def test_reruns_with_skymaps_of_their_own_and_of_their_parents(sparse: Callable[..., Path]) -> None:
    files = [(f"rerun/{name}/{CALEXP.format(1, '3,2')}", 10) for name in ("a", "b", "c")]
    root = sparse("hsc", files)
    (root / "_mapper").write_text(HSC)
    for name, parent in (("a", "../.."), ("b", "../.."), ("c", "../b")):
        (root / f"rerun/{name}/_parent").symlink_to(parent)
    put(root / "rerun/a", skymap_pickle("DiscreteSkyMap", PROGRAM))
    put(root / "rerun/b", skymap_pickle("DiscreteSkyMap", PROGRAM.replace("0.4]", "0.8]")))
    plan = plan_gen2(root)
    first, second = sorted(plan.skymaps)
    assert first == "deepCoadd_skyMap"
    assert second.startswith("deepCoadd_skyMap_")
    assert patches(plan) == {"a": {(first, 1, 13)}, "b": {(second, 1, 21)}, "c": {(second, 1, 21)}}
    with pytest.raises(RepositoryFormatError, match="'one' can name one only"):
        plan_gen2(root, Options(skymap="one"))
    (root / "rerun/a/deepCoadd/skyMap.pickle").unlink()
    plan = plan_gen2(root, Options(skymap="hsc_rings_v1"))
    assert patches(plan)["a"] == {("hsc_rings_v1", 1, 21)}, "chosen for what tells none"
    assert patches(plan)["b"] == {("deepCoadd_skyMap", 1, 21)}


def test_what_cannot_be_told_is_asked_for(hsc: Callable[..., Path], tmp_path: Path) -> None:
    root = hsc((1, "3,2"))
    with pytest.raises(RepositoryFormatError, match="of tracts, and no skymap is told") as caught:
        plan_gen2(root)
    assert "--skymap NAME" in (caught.value.hint or "")
    assert "hsc_rings_v1" in (caught.value.hint or "")
    put(root, skymap_pickle("NobodySkyMap", "config.pixelScale=0.2"))
    with pytest.raises(RepositoryFormatError, match=r"skyMap\.pickle does not say what its skymap is"):
        plan_gen2(root)
    for given, kind, said in (
        ("=x", RepositoryFormatError, "names no skymap"),
        ("x=nobody", RepositoryFormatError, "there is no skymap 'nobody'"),
        ("nobody", RepositoryFormatError, "there is no skymap 'nobody', and no file"),
        ("x=/nowhere.yaml", RepositoryFormatError, "cannot be read"),
        (f"{root}/deepCoadd/skyMap.pickle", RepositoryFormatError, "does not say"),
    ):
        with pytest.raises(kind, match=said):
            plan_gen2(root, Options(skymap=given))
    for text, kind in (
        ("[1, 2]", RepositoryFormatError),
        ("kind: triangles", FileFormatError),
        ("patches: 1\nname: x", RepositoryFormatError),
        ("patches: {default: [1]}\nname: x", RepositoryFormatError),
    ):
        (tmp_path / "sky.yaml").write_text(text)
        with pytest.raises(kind):
            plan_gen2(root, Options(skymap=f"x={tmp_path / 'sky.yaml'}"))


def test_names_that_are_taken(tmp_path: Path) -> None:
    Butler.makeRepo(tmp_path / "new")
    small = SkyMapDefinition.from_facts({**DISC, "radiusList": [0.1, 0.1]})
    path = tmp_path / "skyMap.pickle"
    path.write_bytes(skymap_pickle("DiscreteSkyMap", PROGRAM.replace("[0.2, 0.4]", "[0.1, 0.1]")))
    with Butler.from_config(tmp_path / "new", writeable=True) as butler:
        register_skymap(butler, "small", small)
        grid = SkyMaps(None, butler).of_files([str(path)])
        assert grid is not None
        assert (grid.name, grid.registered) == ("small", True), "known by its parameters"
        with pytest.raises(ConflictingDefinitionError, match="has this skymap as 'small'"):
            SkyMaps(f"other={path}", butler)
        path.write_bytes(skymap_pickle("DiscreteSkyMap", PROGRAM))
        with pytest.raises(ConflictingDefinitionError, match="has another skymap 'small'"):
            SkyMaps(f"small={path}", butler)
        with pytest.raises(ButlerError):
            SkyMaps(str(path), butler)
