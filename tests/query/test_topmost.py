# SPDX-License-Identifier: BSD-3-Clause
"""The first rows of an order are those of the whole, sorted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakebutler import Butler, CollectionType, DatasetRef, DatasetType
from lakebutler.query.topmost import bounded

CAM = "Cam1"


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    """Raws in files of the lake, in rows beside them, in two runs, some removed again."""
    root = tmp_path_factory.mktemp("top") / "repo"
    Butler.makeRepo(root)
    with Butler.from_config(root, writeable=True) as made:
        add = made.registry.insertDimensionData
        add("instrument", {"name": CAM})
        add("physical_filter", {"instrument": CAM, "name": "r", "band": "r"})
        add("day_obs", {"instrument": CAM, "id": 20260101})
        add("group", {"instrument": CAM, "name": "g"})
        add("detector", *({"instrument": CAM, "id": d, "full_name": f"D{d}"} for d in range(4)))
        more = {"instrument": CAM, "physical_filter": "r", "day_obs": 20260101, "group": "g"}
        add("exposure", *({**more, "id": e, "obs_id": f"E{e}"} for e in range(700)))
        kind = DatasetType(
            "raw", ["instrument", "exposure", "detector"], "StructuredDataDict", universe=made.dimensions
        )
        made.registry.registerDatasetType(kind)
        for run, first in (("r/one", 0), ("r/two", 350)):
            made.registry.registerRun(run)
            refs = [
                DatasetRef(kind, made.registry.expandDataId(instrument=CAM, exposure=e, detector=d), run=run)
                for e in range(first, first + 350)
                for d in range(4)
            ]
            made._registry.add(refs, None, op="ingest")
        late = made.registry.expandDataId(instrument=CAM, exposure=20, detector=1)
        made._registry.add([DatasetRef(kind, late, run="r/two")], None, op="ingest")
        made.registry.registerCollection("all", CollectionType.CHAINED)
        made.registry.setCollectionChain("all", ["r/two", "r/one"])
        made.registry.removeDatasets(
            made.query_datasets("raw", "r/two", where=f"instrument='{CAM}' AND exposure > 690", limit=None)
        )
        yield made


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize(
    "order", [["-exposure", "detector"], ["exposure", "-detector"], ["-detector", "exposure"]]
)
@pytest.mark.parametrize("collections", ["r/one", "r/two", "all", ["r/one", "r/two"]])
@pytest.mark.parametrize("where", ["", "instrument = 'Cam1'", "instrument = 'Cam1' AND detector = 2"])
def test_the_first_rows_are_those_of_the_whole(
    butler: Butler, where: str, collections: Any, order: list[str], limit: int
) -> None:
    options: dict[str, Any] = {"where": where, "order_by": order, "explain": False}
    few = butler.query_datasets("raw", collections, limit=limit, **options)
    whole = butler.query_datasets("raw", collections, limit=None, **options)
    assert few == whole[:limit]


def test_records_in_the_order_of_their_dimension(butler: Butler) -> None:
    found = butler.query_dimension_records("exposure", order_by="-exposure", limit=5)
    assert [record.id for record in found] == [699, 698, 697, 696, 695]


def test_a_bound_is_found_where_rows_lie_in_files(butler: Butler) -> None:
    with butler.query() as query:
        ordered = query.where("instrument = 'Cam1'").datasets("raw", "r/one")
        ordered = ordered.order_by("-exposure", "detector").limit(8)
        found = bounded(ordered.plan(), ordered._snapshot)
        assert found is not None
        assert "exposure >= 348" in str(found)
        assert bounded(ordered.limit(None).plan(), ordered._snapshot) is None


def test_a_bound_that_removed_rows_make_too_tight_is_not_believed(butler: Butler) -> None:
    refs = butler.query_datasets("raw", "r/two", order_by="-exposure", limit=3, instrument=CAM)
    assert [ref.dataId["exposure"] for ref in refs] == [690, 690, 690]
