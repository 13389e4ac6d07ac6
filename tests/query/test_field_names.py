# SPDX-License-Identifier: BSD-3-Clause
"""Names of fields in rows: those that were asked for, though two may mean the same column."""

from __future__ import annotations

from lakebutler import Butler
from tests.query.test_general import A, both


def test_a_field_has_the_name_that_it_was_asked_for_by(butler: Butler) -> None:
    spans = {r.id: r.timespan for r in butler.query_dimension_records("exposure", where=A)}
    with butler.query() as query:
        joined = query.join_dataset_search("raw", "raws").where(A)
        results = joined.general(
            ["exposure", "detector"], "exposure.timespan", dataset_fields={"raw": {"run", "timespan"}}
        )
        rows = both(lambda: list(results))
        assert rows
        for row in rows:
            assert {name for name in row if "." in name} == {"raw.run", "raw.timespan", "exposure.timespan"}
            assert row["raw.timespan"] == row["exposure.timespan"] == spans[row["exposure"]]
        assert results.count() == len(rows)
        names = results.to_arrow().column_names
        assert {"raw.timespan.begin", "raw.timespan.end", "exposure.timespan.begin"} <= set(names)
        alone = joined.general(["exposure"], "raw.timespan", find_first=False)
        assert {
            row["exposure"]: row["raw.timespan"] for row in both(lambda: list(alone))
        }.items() <= spans.items()
        twice = joined.general(["exposure"], "seq_num", "exposure.seq_num")
        assert [name for name in next(iter(twice)) if "." in name] == ["exposure.seq_num"]
