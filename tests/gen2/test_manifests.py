# SPDX-License-Identifier: BSD-3-Clause
"""Real trees, as sparse files: what they hold is found, and what is not recognised is explained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lakebutler import Butler
from lakebutler.gen2.convert import convert_gen2
from lakebutler.gen2.options import Options

HSC, DECAM = "lsst.obs.hsc.HscMapper", "lsst.obs.decam.DecamMapper"
REFCAT = {"ref_cat_config", "ref_cat_schema"}


def skies(found: dict[str, int], **expected: int) -> bool:
    """Whether some types have so many files."""
    return {name: found.get(name, 0) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "below", "mapper", "registry", "calib", "expected", "unrecognised"),
    [
        (
            "ci_hsc_gen2_inputs",
            "CALIB/",
            HSC,
            "ci_hsc_calib/calibRegistry_3.sqlite3",
            True,
            {"bias": 16, "dark": 16, "flat": 32, "sky": 32, "defects": 840, "bfKernel": 1},
            set(),
        ),
        (
            "testdata_subaru",
            "hsc/calib/",
            HSC,
            "ci_hsc_calib/calibRegistry_3.sqlite3",
            True,
            {"bias": 1, "dark": 1, "flat": 1, "defects": 840},
            set(),
        ),
        (
            "testdata_decam_HEAD",
            "calibingested/",
            DECAM,
            None,
            True,
            {"cpBias": 2, "cpFlat": 2, "defects": 365},
            set(),
        ),
        (
            "jointcal_decam_gen2_0380b9bparent",
            "decam/",
            DECAM,
            "jointcal_decam/registry.sqlite3",
            False,
            {
                "calexp": 15,
                "src": 15,
                "gaia_dr2_20200414": 19,
                "ps1_pv3_3pi_20170110": 19,
                "sdss_dr9_fink_v5b": 9,
            },
            set(),
        ),
        (
            "jointcal_HEAD",
            "hsc/repo/",
            HSC,
            "jointcal_hsc/registry_v2.sqlite3",
            False,
            {"raw": 30, "calexp": 30, "src": 30, "sourceTable_visit": 10, "visitSummary": 10},
            {"isolated_stars"},  # of the next generation, in the same tree
        ),
    ],
)
def test_a_real_tree_is_converted_with_its_registry(
    manifest: Callable[[str, str], list[tuple[str, int]]],
    sparse: Callable[..., Path],
    fragment: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    below: str,
    mapper: str,
    registry: str | None,
    calib: bool,
    expected: dict[str, int],
    unrecognised: set[str],
) -> None:
    files = manifest(name, below)
    root = sparse("old", files)
    (root / "_mapper").write_text(mapper)
    for path in root.rglob("*.sqlite3"):
        path.unlink()
    if registry is not None:
        shutil.copyfile(fragment(registry), root / ("calibRegistry.sqlite3" if calib else "registry.sqlite3"))
    options = Options(curated=True, headers=False, calib_root=str(root) if calib else None)
    done = convert_gen2(root, tmp_path / "new", options)
    table = done.report.files().to_pylist()
    found: dict[str, int] = {}
    for row in table:
        if row["status"] == "converted":
            found[row["dataset_type"]] = found.get(row["dataset_type"], 0) + 1
    assert skies(found, **expected), found
    strange = {row["path"].split("/")[0] for row in table if row["status"] == "unrecognised"}
    assert strange == unrecognised
    assert {row["dataset_type"] for row in table if row["status"] == "skipped"} <= REFCAT
    told = {row["path"] for row in table}
    pruned = tuple(f"{row['path']}/" for row in table if row["status"] == "not opened")
    here = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert {path for path in here - told if not path.startswith(pruned)} == set() if pruned else here <= told
    assert done.written is not None
    with Butler.from_config(tmp_path / "new") as butler:
        total = 0
        for kind in found:
            total += len(
                butler.query_datasets(kind, collections="*", find_first=False, limit=None, explain=False)
            )
    assert total == done.written.datasets
