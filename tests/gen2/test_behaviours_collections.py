# SPDX-License-Identifier: BSD-3-Clause
"""Behaviours G18 to G26 and G29: collections, catalogues, dry runs, repetition, transfer, selection."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.options import Options
from lakebutler.gen2.refcats import level_of_config, level_of_pixels

Sparse = Callable[..., Path]
HSC = "lsst.obs.hsc.HscMapper"
CALEXP = "00533/HSC-R/corr/CORR-0903334-005.fits"
RAW = "F/2013-06-17/00533/HSC-R/HSC-0903334-005.fits"


@pytest.fixture
def with_reruns(sparse: Sparse, registry_of: Callable[..., Path]) -> Path:
    """A root with two reruns, one on top of the other, and a private one."""
    names = ("first", "shared/second", "private/someone/third")
    files = [(RAW, 10)] + [(f"rerun/{name}/{CALEXP}", 10) for name in names]
    root = sparse("hsc", files)
    (root / "_mapper").write_text(HSC)
    row = {"visit": 903334, "ccd": 5, "filter": "HSC-R", "dateObs": "2013-06-17", "taiObs": "2013-06-17"}
    registry_of(root / "registry.sqlite3", raw=[{**row, "expTime": 30.0, "dataType": "OBJECT"}])
    (root / "rerun/first/_parent").symlink_to("../..")
    (root / "rerun/shared/second/_parent").symlink_to("../../first")
    (root / "rerun/private/someone/third/repositoryCfg.yaml").write_text(
        "!RepositoryCfg_v1\n_mapper: !!python/name:lsst.obs.hsc.HscMapper ''\n_mapperArgs: null\n"
        "_parents: [../../../shared/second]\n_policy: null\n_root: null\n"
    )
    return root


def chain(butler: Butler, name: str) -> list[str]:
    """Children of a chain."""
    return list(butler.collections.get_info(name).children)


def test_g18_reruns_become_runs_and_chains(with_reruns: Path, tmp_path: Path) -> None:
    convert_gen2(with_reruns, tmp_path / "new", Options(headers=False))
    with Butler.from_config(tmp_path / "new") as butler:
        first, second, third = "HSC/runs/first", "HSC/runs/second", "u/someone/third"
        assert chain(butler, first) == [f"{first}/direct", "HSC/raw/all"]
        assert chain(butler, second) == [f"{second}/direct", f"{first}/direct", "HSC/raw/all"]
        assert chain(butler, third) == [
            f"{third}/direct",
            f"{second}/direct",
            f"{first}/direct",
            "HSC/raw/all",
        ]
        data_id = {"instrument": "HSC", "visit": 903334, "detector": 5}
        for name in (first, second, third):
            found = butler.find_dataset("calexp", data_id, collections=name)
            assert found is not None
            assert found.run == f"{name}/direct"
    some = plan_gen2(with_reruns, Options(headers=False, reruns=("first",)))
    assert {p.root.rpartition("/")[2] for p in some.parts} == {"hsc", "first"}


def test_g19_reference_catalogues(sparse: Sparse, tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        "import os\nos.system('touch mark')\nconfig.dataset_config.indexer.name='HTM'\n"
        "config.dataset_config.indexer['HTM'].depth=7\n"
    )
    assert level_of_config(str(config)) == (7, "")
    assert not (tmp_path / "mark").exists()
    config.write_text("config.dataset_config.indexer.name='flat'\n")
    assert "not HTM" in level_of_config(str(config))[1]
    assert level_of_pixels([131072, 262143]) == 7
    assert level_of_pixels([5, 131072]) == 7
    assert level_of_pixels([40000, 131072]) is None
    root = sparse("hsc", [(f"ref_cats/ps1-dr2/{p}.fits", 9) for p in (189584, 189648, 5)])
    (root / "_mapper").write_text(HSC)
    (root / "ref_cats/ps1-dr2/config.py").write_text("config.dataset_config.indexer['HTM'].depth = 7\n")
    done = convert_gen2(root, tmp_path / "new")
    assert [r[:3] for r in done.report.reasons() if r[0] == "skipped"] == [
        ("skipped", "no pixel of level 7", 1),
        ("skipped", "the level of the pixels is taken from it", 1),
    ]
    with Butler.from_config(tmp_path / "new", collections="refcats") as butler:
        refs = butler.query_datasets("ps1_dr2")
        assert {ref.dataId["htm7"] for ref in refs} == {189584, 189648}
        assert {ref.run for ref in refs} == {"refcats/gen2"}


def test_g20_names_of_collections_are_those_of_the_field(ci_hsc: Callable[..., Path], tmp_path: Path) -> None:
    mask = "deepCoadd/BrightObjectMasks/0/BrightObjectMask-0-5,4-HSC-R.reg"
    root = ci_hsc([("ref_cats/ps1/189584.fits", 9), (mask, 9)])
    sky = tmp_path / "sky.yaml"
    sky.write_text("name: disc\npatches: {default: [9, 9]}\n")
    convert_gen2(root, tmp_path / "new", Options(skymap=str(sky)))
    with Butler.from_config(tmp_path / "new") as butler:
        names = set(butler.collections.query("*"))
        assert {
            "HSC/calib",
            "HSC/calib/20131103T000000Z",
            "HSC/defaults",
            "masks",
            "refcats",
            "refcats/gen2",
        } <= names
        assert chain(butler, "HSC/defaults") == ["refcats", "masks", "HSC/calib"]
        assert butler.collections.get_info("HSC/calib").type.name == "CALIBRATION"
    labelled = plan_gen2(root, Options(skymap=str(sky), label="old"))
    assert labelled.calibrations == "HSC/calib/old"
    assert labelled.chains["HSC/calib"] == ("HSC/calib/old",)


def test_g21_a_dry_run_writes_nothing_and_gives_the_same_numbers(
    with_reruns: Path, tmp_path: Path, hash_of: Callable[[Path], str]
) -> None:
    before = hash_of(with_reruns)
    dest = tmp_path / "new"
    dry = convert_gen2(with_reruns, dest, Options(headers=False), dry_run=True)
    assert dry.written is None
    assert not dest.exists()
    wet = convert_gen2(with_reruns, dest, Options(headers=False))
    assert dry.report.to_json() == wet.report.to_json()
    assert dry.report.files().equals(wet.report.files())
    state = hash_of(dest)
    convert_gen2(with_reruns, dest, Options(headers=False), dry_run=True)
    assert hash_of(dest) == state
    assert hash_of(with_reruns) == before


def test_g22_a_second_run_does_nothing_and_takes_what_is_new(with_reruns: Path, tmp_path: Path) -> None:
    dest = tmp_path / "new"
    first = convert_gen2(with_reruns, dest, Options(headers=False))
    assert first.written is not None
    assert (first.written.datasets, first.written.present) == (4, 0)
    with Butler.from_config(dest) as butler:
        version = butler.version
        report = butler.get("gen2_conversion_report", collections=first.written.report_run)
        assert report.equals(first.report.files())
        summary = butler.get("gen2_conversion_summary", collections=first.written.report_run)
        assert summary["totals"] == first.report.totals()
    again = convert_gen2(with_reruns, dest, Options(headers=False))
    assert again.written is not None
    assert (again.written.datasets, again.written.present, again.written.report_run) == (0, 4, None)
    with Butler.from_config(dest) as butler:
        assert butler.version == version, "one commit for all, none for nothing"
    (with_reruns / "rerun/first" / CALEXP.replace("005.fits", "006.fits")).touch()
    more = convert_gen2(with_reruns, dest, Options(headers=False))
    assert more.written is not None
    assert (more.written.datasets, more.written.present) == (1, 4)


@pytest.mark.parametrize("transfer", ["direct", "copy", "hardlink", "link", "symlink", "relsymlink"])
def test_g23_files_stay_or_come_along(obs_test: Path, tmp_path: Path, transfer: str) -> None:
    dest = tmp_path / "new"
    convert_gen2(obs_test, dest, Options(curated=True, transfer=transfer))
    source = obs_test / "raw/raw_v1_fg.fits.gz"
    with Butler.from_config(dest, collections="testCam/defaults") as butler:
        ref = butler.find_dataset("raw", instrument="testCam", exposure=1, detector=0)
        assert ref is not None
        place = Path(butler.getURI(ref).ospath)
        assert butler.get(ref).data.shape == (2000, 1026)
        text = (dest / "log").exists() and b"".join(
            p.read_bytes() for p in (dest / "log").rglob("*") if p.is_file()
        )
    if transfer == "direct":
        assert place == source
        return
    assert place.is_relative_to(dest)
    assert place.read_bytes() == source.read_bytes()
    assert place.is_symlink() == (transfer in ("symlink", "relsymlink"))
    if transfer == "hardlink":
        assert place.stat().st_ino == source.stat().st_ino
    if transfer == "copy":
        assert place.stat().st_ino != source.stat().st_ino
        assert b"raw_v1_fg" not in (text or b""), "no absolute path of the source in a portable repository"


def test_g24_one_append_for_each_type_and_no_query_for_each_file(
    ci_hsc: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakebutler.lake.snapshot import Snapshot

    calls: list[str] = []
    for name in ("find", "match", "scan"):
        real = getattr(Snapshot, name)

        def counted(self: Any, *args: Any, _real: Any = real, _name: str = name, **kwargs: Any) -> Any:
            calls.append(_name)
            return _real(self, *args, **kwargs)

        monkeypatch.setattr(Snapshot, name, counted)
    done = convert_gen2(ci_hsc(), tmp_path / "new", Options(curated=True))
    assert done.written is not None
    assert done.written.datasets == 937
    assert len(calls) < 300, "look-ups grow with types and records, not with files"
    with Butler.from_config(tmp_path / "new") as butler:
        assert len(butler.query_datasets("defects", collections="*", find_first=False, limit=None)) == 840
        assert butler.version <= 3


def test_g25_the_same_data_id_twice_is_decided_and_told(obs_test: Path, ci_hsc: Callable[..., Path]) -> None:
    base = "BIAS/2013-11-03/NONE/BIAS-2013-11-03-005.fits"
    root = ci_hsc([(f"CALIB/{base}.gz", 7), (f"CALIB/{base}.fz", 7), (f"CALIB/{base}.~1~", 7)])
    for _ in range(2):
        plan = plan_gen2(root, Options(types=("bias",)))
        (part,) = plan.parts
        assert base in part.table.column("path").to_pylist()
        told = {row["path"]: row["reason"] for row in plan.report.not_converted()}
        assert told[f"{base}.gz"] == told[f"{base}.fz"] == f"the same data ID as {base}"
        assert told[f"{base}.~1~"] == "not a dataset"


def test_g26_subsets(with_reruns: Path, ci_hsc: Callable[..., Path]) -> None:
    assert not plan_gen2(with_reruns, Options(headers=False, visits=frozenset({1}))).parts[0].table.num_rows
    chosen = plan_gen2(with_reruns, Options(headers=False, visits=frozenset({903334}), types=("raw",)))
    assert [(p.name, p.table.num_rows) for p in chosen.parts] == [("raw", 1)]
    root = ci_hsc()
    plan = plan_gen2(root, Options(detectors=frozenset({5, 6}), types=("bias", "fla*"), without=("flat",)))
    assert [(p.name, p.table.column("detector").to_pylist()) for p in plan.parts] == [("bias", [5, 6])]


def test_g29_the_source_is_only_read(obs_test: Path, tmp_path: Path, hash_of: Callable[[Path], str]) -> None:
    for directory, _, names in os.walk(obs_test):
        os.chmod(directory, stat.S_IRUSR | stat.S_IXUSR)
        for name in names:
            os.chmod(os.path.join(directory, name), stat.S_IRUSR)
    before = hash_of(obs_test)
    for transfer in ("direct", "copy", "symlink"):
        convert_gen2(obs_test, tmp_path / transfer, Options(curated=True, transfer=transfer))
    assert hash_of(obs_test) == before
    for directory, _, _ in os.walk(obs_test):
        os.chmod(directory, 0o755)
