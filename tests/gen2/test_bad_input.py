# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong with an old repository is told in a line, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lakebutler import gen2
from lakebutler.errors import ButlerError, NotARepositoryError, RepositoryFormatError, StorageError
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.layout_check import check_layout
from lakebutler.gen2.options import Options
from lakebutler.gen2.safe_yaml import load_yaml

HSC = "lsst.obs.hsc.HscMapper"
RAW = "F/2013-06-17/00533/HSC-R/HSC-0903334-005.fits"


def test_a_missing_registry_is_told_and_headers_are_read(obs_test: Path, tmp_path: Path) -> None:
    (obs_test / "registry.sqlite3").unlink()
    done = convert_gen2(obs_test, tmp_path / "new")
    assert done.written is not None
    assert done.written.datasets == 3
    assert "there is no registry.sqlite3: exposures are known from headers alone" in done.report.notes


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"x" * 2000, b"no database at all"])
def test_a_broken_registry_is_an_error_with_a_way_out(obs_test: Path, tmp_path: Path, content: bytes) -> None:
    (obs_test / "registry.sqlite3").write_bytes(content)
    with pytest.raises(RepositoryFormatError, match=r"registry\.sqlite3") as caught:
        convert_gen2(obs_test, tmp_path / "new")
    assert caught.value.hint
    assert not (tmp_path / "new").exists()
    done = convert_gen2(obs_test, tmp_path / "new", Options(registry=False))
    assert done.report.totals()["converted"] == 3


@pytest.mark.parametrize("name", ["suprimecam/defectRegistry.sqlite3", "testdata_cfht/calibRegistry.sqlite3"])
def test_a_registry_of_another_schema_names_its_tables(
    obs_test: Path, fragment: Callable[[str], Path], name: str
) -> None:
    (obs_test / "registry.sqlite3").write_bytes(fragment(name).read_bytes())
    with pytest.raises(RepositoryFormatError, match=r"has no table of raws, but .*(defect|bias)"):
        plan_gen2(obs_test)


@pytest.mark.parametrize("name", ["jointcal_hsc/registry.sqlite3", "jointcal_hsc/registry_v2.sqlite3"])
def test_registries_with_more_and_other_columns_are_read(
    fragment: Callable[[str], Path], sparse: Callable[..., Path], name: str
) -> None:
    import sqlite3

    connection = sqlite3.connect(fragment(name))
    query = "SELECT field, dateObs, pointing, filter, visit, ccd FROM raw"
    rows = connection.execute(query).fetchall()
    connection.close()
    files = [(f"{f}/{d}/{p:05d}/{b}/HSC-{v:07d}-{c:03d}.fits", 9) for f, d, p, b, v, c in rows]
    root = sparse("hsc", files)
    (root / "_mapper").write_text(HSC)
    (root / "registry.sqlite3").write_bytes(fragment(name).read_bytes())
    plan = plan_gen2(root, Options(headers=False))
    assert plan.report.totals()["converted"] == len(rows)
    assert {r["id"] for r in plan.records["exposure"]} == {row[4] for row in rows}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lsst.obs.nobody.NobodyMapper", "nobody knows the mapper"),
        ("two words", "does not name a class"),
        ("", "does not name a class"),
    ],
)
def test_mappers_that_nobody_knows(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "_mapper").write_text(text)
    with pytest.raises(RepositoryFormatError, match=message):
        plan_gen2(tmp_path)


def test_places_that_are_no_repositories(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError, match="there is no directory"):
        plan_gen2(tmp_path / "gone")
    with pytest.raises(NotARepositoryError, match="no Gen2 repository"):
        plan_gen2(tmp_path)
    (tmp_path / "_mapper").write_text(HSC)
    with pytest.raises(NotARepositoryError, match="with calibrations"):
        plan_gen2(tmp_path, Options(calib_root=str(tmp_path / "gone")))
    with pytest.raises(StorageError, match="transfer='move'"):
        plan_gen2(tmp_path, Options(transfer="move"))


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "camera: HSC\nbase: nowhere\n",
        "base: hsc\nexposures: [a]\n",
        "camera: HSC\nexposures: {raw: 5}\n",
        "camera: HSC\nexposures: {raw: '../%(visit)d.fits'}\n",
        "camera: HSC\nexposures: {raw: '%(visit)'}\n",
        "exposures: {raw: 'a/%(visit)d.fits'}\n",
        "camera: [",
        "camera: !!python/object/apply:os.getcwd []\n",
        "camera: NoSuchCamera\n",
    ],
)
def test_layouts_that_are_wrong(tmp_path: Path, text: str) -> None:
    (tmp_path / "_mapper").write_text("a.NobodyMapper")
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(ButlerError) as caught:
        plan_gen2(tmp_path, Options(layout=str(own)))
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("keys", ["5", "{visit: 5}", "{visit: moon}", "{[1]: visit}"]),
        ("filters", ["{tract: 5}", "{types: [5]}", "{moon: band}"]),
        ("patterns", ["{ccd: '('}", "{ccd: '(a)b'}", "{ccd: 5}"]),
        ("runs", ["{raw: {}}", "{raw: 5.5}"]),
        ("constants", ["{visit: 5}", "{detector: x}", "{band: 1}"]),
        ("rename", ["{raw: null}", "[raw]"]),
        ("joined", ["{detector: 5}", "{moon: x}"]),
        ("mappers", ["5", "x", "[[1]]"]),
        ("path_only", ["5", "null", "[1]"]),
        ("times", ["mars", "[tai]"]),
        ("curated", ["5", "[5]", "[[1]]"]),
        ("ignored", ["null", "[[1]]"]),
        (
            "storage",
            ["5", "{types: 5}", "{types: [5]}", "{endings: {.fits: x}}", "{moon: {}}"],
        ),
        ("exposures", ["5", "{raw: [x]}", "{raw: {template: 5}}"]),
        ("moon", ["5"]),
    ],
)
def test_entries_of_a_layout_that_are_of_the_wrong_kind(
    tmp_path: Path, entry: str, values: list[str]
) -> None:
    (tmp_path / "_mapper").write_text(HSC)
    own = tmp_path / "own.yaml"
    for value in values:
        own.write_text(f"base: hsc\n{entry}: {value}\n")
        with pytest.raises(RepositoryFormatError) as caught:
            plan_gen2(tmp_path, Options(layout=str(own)))
        assert str(own) in caught.value.message
        assert entry in str(caught.value)


def test_our_own_layouts_are_right() -> None:
    for path in sorted(Path(gen2.__file__).parent.glob("layouts/*.yaml")):
        check_layout(load_yaml(path), path.name)


def test_a_template_of_two_types_is_taken_for_one_and_told(
    sparse: Callable[..., Path], tmp_path: Path
) -> None:
    root = sparse("hsc", [("config/forcedPhotCoadd.py", 5)])
    (root / "_mapper").write_text(HSC)
    report = plan_gen2(root).report
    (count,) = report.counts
    assert count.dataset_type == "dcrCoadd_forced_config"
    assert any(
        "is the template of dcrCoadd_forced_config and of deepCoadd_forced_config" in n for n in report.notes
    )


def test_parents_and_calibrations_that_are_gone_are_told(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "gen2_fragments/decam_cfg/repositoryCfg.yaml"
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/repositoryCfg.yaml").write_bytes(real.read_bytes())
    notes = "\n".join(plan_gen2(tmp_path / "a/b").report.notes)
    assert "its parent" in notes
    assert "its calibrations /data/ap_verify_ci_hits2015/gen2-output/calibingested are not there" in notes


@pytest.mark.parametrize("transfer", ["direct", "copy"])
def test_a_pickle_is_never_loaded(sparse: Callable[..., Path], tmp_path: Path, transfer: str) -> None:
    import pickle

    from lakebutler import Butler
    from lakebutler.errors import TrustError

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "mark",))  # type: ignore[return-value]

    root = sparse("hsc", [("deepCoadd/skyMap.pickle", 0)])
    (root / "_mapper").write_text(HSC)
    (root / "deepCoadd/skyMap.pickle").write_bytes(pickle.dumps(Hostile()))
    done = convert_gen2(root, tmp_path / "new", Options(transfer=transfer))
    assert any("has a skymap, but nothing of its tracts" in note for note in done.report.notes)
    with Butler.from_config(tmp_path / "new") as butler, pytest.raises(TrustError):
        butler.get("deepCoadd_skyMap", collections="HSC/runs/root/direct")
    assert not (tmp_path / "mark").exists()
