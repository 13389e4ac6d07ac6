# SPDX-License-Identifier: BSD-3-Clause
"""What lsst.daf.butler makes of exported calibrations: the same datasets, valid for the same times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lakebutler import Butler
from lakebutler.instruments.calibrations.write import write_curated_calibrations
from tests.butler import incumbent

IMPORT = """
root = sys.argv[1]
Butler.makeRepo(root)
with Butler.from_config(root, writeable=True) as b:
    b.import_(directory=sys.argv[2], filename=sys.argv[2] + "/export.yaml", transfer="copy")
print(json.dumps(state(root)))
"""


def test_calibrations_are_imported_with_their_validity(
    tmp_path: Path, repository_with: Callable[..., Butler], shared_data: Path
) -> None:
    incumbent.python()
    butler = repository_with("LATISS")
    write_curated_calibrations(butler, "LATISS", shared_data / "curated/obs_lsst_data")
    kinds = ("camera", "crosstalk", "defects", "transmission_filter", "transmission_optics")
    with butler.export(directory=tmp_path / "out", format="yaml", transfer="copy") as export:
        for kind in kinds:
            export.saveDatasets(butler.query_datasets(kind, "LATISS/calib", find_first=False))
        export.saveCollection("LATISS/calib")
    theirs = incumbent.run(IMPORT, tmp_path / "theirs", tmp_path / "out", where=tmp_path)
    ours = [a for kind in kinds for a in butler.registry.queryDatasetAssociations(kind, "LATISS/calib")]
    spans = sorted([str(a.ref.id), "LATISS/calib", list(a.timespan.nsec)] for a in ours)
    assert len(spans) == 13
    assert sorted(a for a in theirs["associations"] if a[2] is not None) == spans
