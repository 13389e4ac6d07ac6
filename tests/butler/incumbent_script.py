# SPDX-License-Identifier: BSD-3-Clause
"""A session as written for ``lsst.daf.butler``; it runs unchanged on both, but for the import line.

It uses nothing but the public interface, and prints only what does not depend on chance:
no UUIDs, no paths, no times of ingest.
"""

# fmt: off
import os
import sys

import astropy.time
from lsst.daf.butler import (
    Butler,
    ButlerMetrics,
    CollectionType,
    DatasetType,
    DimensionRecordSet,
    DimensionRecordTable,
    Timespan,
)

# fmt: on


def refused(expected, action):
    """Print that an action raises an error of a class, or what happened instead."""
    try:
        print(f"not refused: {action()}")
    except Exception as error:
        names = [c.__name__ for c in type(error).__mro__]
        print(expected if expected in names else f"{names[0]}, not {expected}: {error}")


def show(refs):
    """Datasets as text, sorted."""
    return sorted(
        f"{ref.datasetType.name}@{ref.run} " + ",".join(f"{k}={v}" for k, v in ref.dataId.required.items())
        for ref in refs
    )


def day(text):
    """A time, TAI."""
    return astropy.time.Time(text, scale="tai")


# ---------------------------------------------------------------- a repository and its dimensions
root = sys.argv[1]
Butler.makeRepo(root)
refused("FileExistsError", lambda: Butler.makeRepo(root) and None)
butler = Butler.from_config(root, run="u/me/first", writeable=True)
registry = butler.registry
registry.insertDimensionData("instrument", {"name": "Cam", "detector_max": 4, "class_name": "a.b.Cam"})
for name, band in (("Cam-g", "g"), ("Cam-r", "r")):
    registry.insertDimensionData("physical_filter", {"instrument": "Cam", "name": name, "band": band})
registry.insertDimensionData(
    "detector",
    *(
        {"instrument": "Cam", "id": i, "full_name": f"R0{i // 2}_S{i % 2}", "raft": f"R0{i // 2}"}
        for i in range(4)
    ),
)
registry.insertDimensionData("day_obs", {"instrument": "Cam", "id": 20250101})
for i in range(3):
    registry.insertDimensionData("group", {"instrument": "Cam", "name": f"g{i}"})
    registry.insertDimensionData(
        "exposure",
        {
            "instrument": "Cam", "id": 100 + i, "obs_id": f"obs{i}", "group": f"g{i}", "day_obs": 20250101,
            "physical_filter": "Cam-g" if i < 2 else "Cam-r", "seq_num": i + 1, "exposure_time": 30.0,
            "timespan": Timespan(day(f"2025-01-01T0{i}:00:00"), day(f"2025-01-01T0{i}:01:00")),
        },
    )  # fmt: skip
print("sync", registry.syncDimensionData("day_obs", {"instrument": "Cam", "id": 20250101}))

# ---------------------------------------------------------------- dataset types and collections
universe = butler.dimensions
bias = DatasetType("bias", ["detector"], "StructuredDataDict", universe=universe, isCalibration=True)
note = DatasetType("note", ["exposure", "detector"], "StructuredDataDict", universe=universe)
table = DatasetType("table", ["exposure"], "ArrowAstropy", universe=universe)
print("registered", [registry.registerDatasetType(t) for t in (bias, note, table, note)])
refused(
    "ConflictingDefinitionError",
    lambda: registry.registerDatasetType(
        DatasetType("note", ["exposure"], "StructuredDataDict", universe=universe)
    ),
)
print("types", sorted(t.name for t in registry.queryDatasetTypes("*o*")))
collections = butler.collections
collections.register("tag", CollectionType.TAGGED, doc="the best")
collections.register("calib", CollectionType.CALIBRATION)
collections.register("defaults", CollectionType.CHAINED)
collections.register("u/me/second")
collections.redefine_chain("defaults", ["u/me/first", "u/me/second"])
collections.prepend_chain("defaults", "calib")
collections.extend_chain("defaults", ["tag"])
print("chain", collections.get_info("defaults").children)
refused("CollectionCycleError", lambda: collections.extend_chain("defaults", "defaults"))
refused("MissingCollectionError", lambda: collections.get_info("nope"))
print("tag", collections.get_info("tag").type.name, registry.getCollectionDocumentation("tag"))

# ---------------------------------------------------------------- puts and gets
biases = [butler.put({"level": d}, "bias", instrument="Cam", detector=d) for d in range(4)]
late = [
    butler.put({"level": d + 10}, "bias", instrument="Cam", detector=d, run="u/me/second") for d in range(2)
]
with butler.transaction():
    for e in range(100, 103):
        for d in range(2):
            butler.put({"e": e, "d": d}, note, {"instrument": "Cam", "exposure": e, "detector": d})
refused("ConflictingDefinitionError", lambda: butler.put({}, "bias", instrument="Cam", detector=0))
refused("DataIdValueError", lambda: butler.put({}, "bias", instrument="Cam", detector=77))
try:
    with butler.transaction():
        butler.put({}, "note", instrument="Cam", exposure=100, detector=3)
        raise RuntimeError
except RuntimeError:
    pass
print("rolled back", butler.find_dataset("note", instrument="Cam", exposure=100, detector=3))
print("by name", butler.get("bias", instrument="Cam", detector="R01_S0"))
print("by night", butler.get("note", instrument="Cam", day_obs=20250101, seq_num=2, detector=1))
print("deferred", butler.getDeferred("bias", instrument="Cam", detector=2).get())
refused("DatasetNotFoundError", lambda: butler.get("note", instrument="Cam", exposure=102, detector=3))
print("exists", bool(butler.exists(biases[0])), butler.exists(biases[0]).name, butler.stored(biases[1]))

# ---------------------------------------------------------------- tags and calibrations
registry.associate("tag", biases[:3])
registry.associate("tag", biases[:1])
registry.disassociate("tag", biases[1:2])
print("tagged", show(butler.query_datasets("bias", "tag")))
registry.certify("calib", biases[:2], Timespan(None, day("2025-01-01T01:30:00")))
registry.certify("calib", late, Timespan(day("2025-01-01T01:30:00"), None))
refused(
    "ConflictingDefinitionError",
    lambda: registry.certify("calib", late[:1], Timespan(day("2025-01-01"), day("2025-01-02"))),
)
refused(
    "DatasetTypeError", lambda: registry.certify("calib", butler.query_datasets("note"), Timespan(None, None))
)
for e in (100, 102):
    print(
        "calibration of", e, butler.get("bias", instrument="Cam", detector=0, exposure=e, collections="calib")
    )
at = Timespan(day("2025-01-01T05:00:00"), day("2025-01-01T06:00:00"))
print("at a time", butler.get("bias", instrument="Cam", detector=1, collections="calib", timespan=at))
refused(
    "CalibrationLookupError", lambda: butler.get("bias", instrument="Cam", detector=1, collections="calib")
)
registry.decertify("calib", "bias", Timespan(day("2025-01-01T04:00:00"), day("2025-01-01T04:30:00")))
spans = [
    a.timespan for a in registry.queryDatasetAssociations("bias", "calib") if a.ref.dataId["detector"] == 0
]
print("ranges", sorted(str(s) for s in spans))

# ---------------------------------------------------------------- questions
ask = {"instrument": "Cam", "collections": "u/me/first", "explain": False}
print("where", show(butler.query_datasets("note", where="exposure.seq_num > 1 AND detector = 0", **ask)))
print("in", show(butler.query_datasets("bias", where="detector IN (0..3:2)", **ask)))
print(
    "bind", show(butler.query_datasets("note", where="exposure = e AND band = 'g'", bind={"e": 101}, **ask))
)
print("glob", show(butler.query_datasets("bias", where="GLOB(detector.full_name, 'R00*')", **ask)))
print(
    "order",
    [r.dataId["detector"] for r in butler.query_datasets("bias", order_by="-detector", limit=2, **ask)],
)
later = "exposure.timespan OVERLAPS (T'2025-01-01 00:30', NULL)"
found = butler.query_data_ids(["exposure", "detector"], where=later, instrument="Cam", explain=False)
print("data ids", len(found), sorted({d["exposure"] for d in found}), found[0].hasFull())
print(
    "records",
    sorted(
        r.full_name for r in butler.query_dimension_records("detector", where="raft='R01'", instrument="Cam")
    ),
)
print(
    "first",
    [r.run for r in butler.query_datasets("bias", ["u/me/second", "u/me/first"], order_by="detector")],
)
print("all", len(butler.query_datasets("bias", "u/*", find_first=False)))
refused(
    "EmptyQueryResultError", lambda: butler.query_datasets("bias", where="detector = 99", instrument="Cam")
)
refused("InvalidQueryError", lambda: butler.query_datasets("bias", where="detctor = 99", instrument="Cam"))
refused("MissingDatasetTypeError", lambda: butler.query_datasets("nope"))
with butler.query() as query:
    results = (
        query.join_dimensions(["exposure"]).datasets("note", "u/me/first").order_by("exposure", "detector")
    )
    print("count", results.count(), results.any(), [r.dataId["exposure"] for r in results.limit(3)])
legacy = registry.queryDatasets("bias", collections=..., where="detector = 1", instrument="Cam")
print("registry", show(set(legacy)))
print("all types", show(butler.query_all_datasets("u/me/first", where="detector = 1", instrument="Cam"))[:3])

# ---------------------------------------------------------------- prune
butler.pruneDatasets(biases[3:], disassociate=False, unstore=True)
print("unstored", butler.exists(biases[3]).name)
refused("FileNotFoundError", lambda: butler.get(biases[3]))
refused("TypeError", lambda: butler.pruneDatasets(biases, purge=True))
butler.pruneDatasets(biases[2:3], unstore=True, purge=True)
print("purged", butler.get_dataset(biases[2].id), show(butler.query_datasets("bias", "tag")))
butler.pruneDatasets(biases[:1], tags=["tag"])
print("empty tag", len(butler.query_datasets("bias", "tag", explain=False)))
refused("OrphanedRecordError", lambda: collections.x_remove("u/me/second"))
registry.decertify("calib", "bias", Timespan(None, None))
collections.remove_from_chain("defaults", "u/me/second")
butler.removeRuns(["u/me/second"])
print("runs", sorted(collections.query("*", CollectionType.RUN)))
collections.x_remove("defaults")
collections.x_remove("tag")
print("collections", sorted(collections.query("*")))
registry.registerDatasetType(DatasetType("empty", [], "StructuredDataDict", universe=universe))
registry.removeDatasetType("empty")
refused("OrphanedRecordError", lambda: registry.removeDatasetType("bias"))
print("summary", sorted(t.name for t in registry.getCollectionSummary("u/me/first").dataset_types))
reader = Butler.from_config(root, collections="u/me/first")
refused("TypeError", lambda: reader.put({}, "bias", instrument="Cam", detector=3))
print("inferred", reader.get("bias", detector=1), reader.isWriteable(), reader.run)

# ---------------------------------------------------------------- export and import
os.makedirs(root + "-export")
with reader.export(directory=root + "-export", filename="export.yaml", transfer="copy") as export:
    export.saveDatasets(reader.query_datasets("note"))
    export.saveDatasets(reader.query_datasets("bias", where="detector = 1", instrument="Cam"))
    export.saveCollection("calib")
Butler.makeRepo(root + "-copy")
copy = Butler.from_config(root + "-copy", writeable=True)
copy.import_(directory=root + "-export", filename="export.yaml", transfer="copy")
print("imported", show(copy.query_all_datasets("u/me/first")))
same = [copy.get_dataset(ref.id) == ref for ref in reader.query_datasets("note")]
print(
    "the same", all(same), len(same), copy.get("bias", instrument="Cam", detector=1, collections="u/me/first")
)
print("collections", sorted(copy.collections.query("*")))

# ---------------------------------------------------------------- transfer, pages, summaries, other openings
Butler.makeRepo(root + "-second", standalone=True)
second = Butler.from_config(root + "-second", writeable=True, searchPaths=[root])
notes = reader.query_datasets("note", with_dimension_records=True)
refused("MissingDatasetTypeError", lambda: second.transfer_from(reader, notes, transfer="copy"))
wanted = {"transfer": "copy", "register_dataset_types": True, "transfer_dimensions": True}
print(
    "dry",
    len(second.transfer_from(reader, notes, dry_run=True, **wanted)),
    list(second.collections.query("*")),
)
print("transferred", show(second.transfer_from(reader, notes, **wanted)))
second.transfer_from(reader, notes, **wanted)
print("again", len(second.query_datasets("note", "u/me/first")))
with second.query() as query:
    exposures = query.dimension_records("exposure")
    pages = [list(page) for page in exposures.iter_set_pages()]
    print("sets", sorted(record.obs_id for page in pages for record in page))
    pages = [list(page) for page in exposures.iter_table_pages()]
    print("tables", sorted(record.id for page in pages for record in page))
records = DimensionRecordSet("exposure", [ref.dataId.records["exposure"] for ref in notes], universe=universe)
some = records.find(notes[0].dataId.subset(["exposure"]))
print(
    "set", len(records), some in records, records.difference(records) == DimensionRecordSet(some.definition)
)
table = DimensionRecordTable("exposure", sorted(records, key=lambda r: r.id), universe=universe)
print("table", len(table), table[1].seq_num, table.column("id").to_pylist(), len(table[1:]))
summary = second.registry.getCollectionSummary("u/me/first")
reasons = []
print("fits", summary.is_compatible_with(note, {"instrument": {"Cam"}}, reasons), reasons)
print(
    "fits not", summary.is_compatible_with(bias, {}, reasons, "u/me/first"), len(reasons), summary.governors
)
bare = Butler.from_config(root + "-second", collections="u/me/first", without_datastore=True)
print("bare", show(bare.query_datasets("note", where="detector = 0 AND exposure = 101", instrument="Cam")))
metrics = ButlerMetrics()
measured = Butler.from_config(root + "-second", collections="u/me/first", metrics=metrics)
print("measured", measured.get("note", exposure=101, detector=1), metrics.n_get, metrics.n_put)
