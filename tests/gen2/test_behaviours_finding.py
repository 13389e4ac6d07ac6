# SPDX-License-Identifier: BSD-3-Clause
"""Behaviours G1 to G8: what a repository is, what its files say, and which files are what."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lakebutler.errors import NotARepositoryError, RepositoryFormatError
from lakebutler.gen2 import walk as walking
from lakebutler.gen2.automaton import State, build_tree
from lakebutler.gen2.convert import plan_gen2
from lakebutler.gen2.discover import ancestors, find_gen2
from lakebutler.gen2.layout import find_layout, with_policy
from lakebutler.gen2.options import Options
from lakebutler.gen2.safe_yaml import load_yaml
from lakebutler.gen2.template import parse_template
from lakebutler.gen2.walk import walk

MAPPER = "lsst.obs.hsc.HscMapper\n"


def test_g1_kinds_of_repository(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "gen2_obs_test"
    assert find_gen2(real / "data/input").kind == "mapper"
    assert find_gen2(real / "tests/policyTest/a").kind == "config"
    child = find_gen2(real / "data/policyInRepo2/a")
    assert child.kind == "parent"
    assert child.mapper == "lsst.obs.test.testMapper.TestMapper"
    assert [Path(p.root).name for p in ancestors(child)] == ["b", "c"]
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "registry.sqlite3").touch()
    assert find_gen2(bare).kind == "registry"
    below = tmp_path / "below"
    (below / "_parent").mkdir(parents=True)
    (below / "_parent/_mapper").write_text(MAPPER)
    assert find_gen2(below).mapper == MAPPER.strip()
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "_parent").symlink_to("../below/_parent")
    assert find_gen2(linked).mapper == MAPPER.strip()
    (tmp_path / "none").mkdir()
    with pytest.raises(NotARepositoryError, match="no Gen2 repository"):
        find_gen2(tmp_path / "none")


@pytest.mark.parametrize(
    "hostile",
    [
        "!!python/object/apply:os.system ['touch {mark}']",
        "!!python/object/new:os.system ['touch {mark}']",
        "_mapper: !!python/object/apply:subprocess.check_output [[touch, '{mark}']]",
        "!!python/module:os ''",
        "_parents: [!!python/object:os.system 'touch {mark}']",
    ],
)
def test_g2_hostile_configuration_runs_nothing(tmp_path: Path, hostile: str) -> None:
    mark = tmp_path / "mark"
    root = tmp_path / "repo"
    root.mkdir()
    (root / "repositoryCfg.yaml").write_text(hostile.format(mark=mark))
    with pytest.raises(RepositoryFormatError, match=r"repositoryCfg\.yaml"):
        find_gen2(root)
    assert not mark.exists()


def test_g2_configurations_are_values(shared_data: Path) -> None:
    config = load_yaml(shared_data / "gen2_fragments/decam_cfg/repositoryCfg.yaml")
    assert config["_mapper"] == "lsst.obs.decam.decamMapper.DecamMapper"
    assert config["_parents"] == ["../../ingested"]
    policy = load_yaml(shared_data / "gen2_obs_test/tests/policyTest/a/repositoryCfg.yaml")["_policy"]
    assert policy["data"]["exposures"]["raw"] == {"template": "raw/v%(visit)d_f%(filter)s.fits.gz"}


def test_g2_a_yaml_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(RepositoryFormatError, match="unfolds"):
        load_yaml(path)


def test_g3_parents_are_resolved_and_circles_are_told(shared_data: Path, tmp_path: Path) -> None:
    child = find_gen2(shared_data / "gen2_obs_test/tests/policyTest/b")
    assert [Path(p.root).name for p in ancestors(child)] == ["a"]
    nested = tmp_path / "nested"
    nested.mkdir()
    (tmp_path / "far").mkdir()
    (nested / "repositoryCfg.yaml").write_text(
        "!RepositoryCfg_v1\n_mapper: a.HscMapper\n_parents:\n- !RepositoryCfg_v1\n  _root: ../far\n"
        "  _mapper: !!python/name:b.DecamMapper ''\n"
    )
    (parent,) = ancestors(find_gen2(nested))
    assert (parent.root, parent.mapper) == (str(tmp_path / "far"), "b.DecamMapper")
    for here, there in (("x", "y"), ("y", "x")):
        (tmp_path / here).mkdir()
        (tmp_path / here / "_parent").symlink_to(f"../{there}")
    with pytest.raises(RepositoryFormatError, match="circle"):
        find_gen2(tmp_path / "x")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/_parent").symlink_to("_parent")
    with pytest.raises(RepositoryFormatError, match="circle"):
        find_gen2(tmp_path / "self")


def test_g4_the_policy_in_a_repository_overrides_templates(shared_data: Path) -> None:
    repository = find_gen2(shared_data / "gen2_obs_test/tests/policyTest/a")
    plain = find_layout(repository.mapper)
    layout = with_policy(plain, repository.policy, repository.root)
    assert plain.templates["exposures", "raw"].text == "raw/raw_v%(visit)d_f%(filter)s.fits.gz"
    assert layout.templates["exposures", "raw"].text == "raw/v%(visit)d_f%(filter)s.fits.gz"
    assert layout.templates["exposures", "calexp"] == plain.templates["exposures", "calexp"]


def test_g5_mappers_are_names_and_unknown_ones_ask_for_a_layout(tmp_path: Path) -> None:
    for mapper, camera in (
        ("lsst.obs.hsc.HscMapper", "HSC"),
        ("lsst.obs.decam.DecamMapper", "DECam"),
        ("lsst.obs.cfht.MegacamMapper", "MegaPrime"),
        ("lsst.obs.lsst.latiss.LatissMapper", "LATISS"),
        ("lsst.obs.test.TestMapper", "testCam"),
        ("lsst.obs.lsstSim.LsstSimMapper", "LSSTCam-imSim"),
    ):
        assert find_layout(mapper).camera == camera
    with pytest.raises(RepositoryFormatError, match="nobody knows the mapper") as caught:
        find_layout("lsst.obs.sdss.SdssMapper")
    assert "--layout" in (caught.value.hint or "")
    own = tmp_path / "own.yaml"
    own.write_text("camera: HSC\nbase: hsc\nexposures:\n  raw: 'my/%(visit)d/%(ccd)d.fits'\n")
    layout = find_layout("lsst.obs.sdss.SdssMapper", own)
    assert layout.templates["exposures", "raw"].text == "my/%(visit)d/%(ccd)d.fits"
    own.write_text("camera: HSC\ntemplate: {}\n")
    with pytest.raises(RepositoryFormatError, match="no entry 'template'"):
        find_layout(None, own)


def match(text: str, path: str, **patterns: str) -> dict[str, str] | None:
    """Match one path against one template, as the walk does."""
    template = parse_template("t", "datasets", text)
    states = [State(build_tree([template], patterns, {"t": True}), (), "")]
    *directories, name = path.split("/")
    for directory in directories:
        states = [below for state in states for below in state.below(directory)]
    for state in states:
        found = state.node.files.fullmatch(state.prefix + name) if state.node.files else None
        if found is not None:
            assert found.lastindex is not None
            one = state.node.alternatives[found.lastindex]
            return dict(
                zip(template.keys, (*state.values, *found.groups()[one.first : one.last]), strict=True)
            )
    return None


def test_g6_templates_match_as_they_format() -> None:
    hsc = "%(pointing)05d/%(filter)s/corr/CORR-%(visit)07d-%(ccd)03d.fits"
    found = {"pointing": "533", "filter": "HSC-R", "visit": "903334", "ccd": "0"}
    assert match(hsc, "00533/HSC-R/corr/CORR-0903334-000.fits") == found
    assert match(hsc, "00533/HSC-R/corr/CORR-0903334-000.fits.gz") == found
    assert match(hsc, "00533/HSC-R/corr/CORR-0903334-000.fits.fz") == found
    assert match(hsc, "00533/HSC-R/corr/CORR-0903334-000.fitsx") is None
    warp = "warp/%(filter)s/%(tract)d/%(patch)s/warp-%(filter)s-%(tract)d-%(patch)s-%(visit)d.fits"
    patch = {"patch": r"\d+,\d+"}
    assert match(warp, "warp/a-b/12/3,4/warp-a-b-12-3,4-56.fits", **patch) == {
        "filter": "a-b",
        "tract": "12",
        "patch": "3,4",
        "visit": "56",
    }
    assert match(warp, "warp/a-b/12/3,4/warp-a-c-12-3,4-56.fits", **patch) is None, "keys must agree"
    assert match(warp, "warp/a-b/12/x/warp-a-b-12-x-56.fits", **patch) is None
    assert match("%(visit)04d/%(visit)d-%(visit)06d.fits", "0012/12-000012.fits") == {"visit": "12"}
    assert match("%(visit)04d/%(visit)d-%(visit)06d.fits", "0012/12-000013.fits") is None
    assert match("x-%(a)s-%(a)s.fits", "x-1-2-1-2.fits") == {"a": "1-2"}, "twice within one element"
    assert match("100%%/%(a)d.fits", "100%/7.fits") == {"a": "7"}
    raw = parse_template("raw", "exposures", "%(date)s/decam%(visit)07d.fits.fz[%(hdu)d]")
    assert (raw.path, raw.unit, raw.unit_key) == ("%(date)s/decam%(visit)07d.fits.fz", "%(hdu)d", "hdu")
    assert match("%(date)s/decam%(visit)07d.fits.fz[%(hdu)d]", "d/decam0000005.fits.fz") == {
        "date": "d",
        "visit": "5",
    }
    for bad in ("/abs/%(a)d", "a/../b", "a/%(b", "a//b", "a/%(b)"):
        with pytest.raises(RepositoryFormatError):
            parse_template("t", "datasets", bad)


def test_g6_the_more_specific_template_wins_and_catch_all_comes_last() -> None:
    texts = {"any": "d/%(a)s.fits", "some": "d/x-%(a)s.fits", "one": "d/x-y.fits", "all": "%(path)s"}
    templates = [parse_template(name, "datasets", text) for name, text in texts.items()]
    tree = build_tree(templates, {}, dict.fromkeys(texts, True))
    node = tree.constants["d"]
    assert node.files is not None

    def kind(name: str) -> str:
        found = node.files.fullmatch(name) if node.files else None
        assert found is not None
        assert found.lastindex is not None
        return node.alternatives[found.lastindex].template.dataset_type

    assert [kind(name) for name in ("x-y.fits", "x-z.fits", "z.fits")] == ["one", "some", "any"]


def test_g7_only_directories_that_can_match_are_opened(
    ci_hsc: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = ci_hsc([(f"attic/{i}/{j}/old.fits", 10) for i in range(20) for j in range(5)])
    opened: list[str] = []
    real = os.scandir

    def counted(path: str) -> object:
        opened.append(str(path))
        return real(path)

    monkeypatch.setattr(walking.os, "scandir", counted)
    plan = plan_gen2(root, Options(types=("bias",)))
    ours = [o for o in opened if o.startswith(str(root))]
    can_hold = {str(p) for p in (root / "CALIB/BIAS").rglob("*") if p.is_dir()}
    calib = {o.rstrip("/") for o in ours if "/CALIB" in o}
    assert calib == {str(root / "CALIB"), str(root / "CALIB/BIAS"), *can_hold}
    assert not [o for o in ours if "attic" in o]
    assert plan.report.opened == len(ours)
    assert plan.report.totals()["converted"] == 16


def test_g8_every_file_is_accounted_for_under_its_own_name(ci_hsc: Callable[..., Path]) -> None:
    odd = [
        ("CALIB/BIAS/2013-11-03/NONE/BIAS-2013-11-03-005.fits.~1~", 5),
        ("CALIB/BIAS/2013-11-03/NONE/strange.fits", 5),
        ("CALIB/BIAS/2013-11-03/README.txt", 5),
        ("CALIB/other/deep/x.fits", 5),
    ]
    root = ci_hsc(odd)
    report = plan_gen2(root, Options(curated=True)).report
    table = report.files().to_pylist()
    by_path = {f"{row['repository']}/{row['path']}": row for row in table}
    assert len(by_path) == len(table)
    here = [str(p) for p in root.rglob("*") if p.is_file()]
    pruned = [path for path, row in by_path.items() if row["status"] == "not opened"]
    assert pruned == [str(root / "CALIB/other")]
    missing = [p for p in here if p not in by_path and not p.startswith(pruned[0])]
    assert missing == []
    assert by_path[str(root / odd[0][0])]["status"] == "ignored"
    assert by_path[str(root / odd[2][0])]["status"] == "ignored"
    assert by_path[str(root / odd[1][0])]["status"] == "unrecognised"
    totals = report.totals()
    assert totals == {"converted": 937, "skipped": 0, "ignored": 4, "unrecognised": 1, "not opened": 1}
    assert sum(totals.values()) == len(here)


def test_g8_links_strange_names_and_directories_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "r"
    (root / "d").mkdir(parents=True)
    (root / "locked").mkdir()
    (root / "d/1.fits").touch()
    (root / "d/2.fits").symlink_to("gone.fits")
    (root / "d/3.fits").symlink_to("1.fits")
    (root / "d/4.fits").symlink_to("4.fits")
    (root / "d/loop").symlink_to("../d")
    with open(os.fsencode(root) + b"/d/\xff5.fits", "wb"):
        pass
    real = os.scandir

    def refuse(path: str) -> object:
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(walking.os, "scandir", refuse)
    template = parse_template("t", "datasets", "%(a)s/%(b)s.fits")
    deep = parse_template("u", "datasets", "%(a)s/%(c)s/%(b)s.fits")
    found = walk(str(root), build_tree([template, deep], {}, {"t": True, "u": True}))
    assert found.hits["t"].table().column("path").to_pylist() == ["d/1.fits", "d/3.fits"]
    assert "u" not in found.hits
    assert {(f.path, f.reason) for f in found.unusable} == {
        ("d/2.fits", "a link to a file that is not there"),
        ("d/4.fits", "a link that goes round in a circle"),
        ("d/loop", "a link that goes round in a circle"),
        ("d/\\xff5.fits", "its name is not in UTF-8"),
        ("locked/", "the directory cannot be read: Permission denied"),
    }


def test_g8_directories_that_no_template_leads_to_are_counted_on_request(ci_hsc: Callable[..., Path]) -> None:
    names = ("attic/deep/x.fits", "attic/deep/er/y.txt", "rerun/README.txt", "rerun/a/b.txt")
    root = ci_hsc([(name, 5) for name in names])
    (root / "attic/deep/link").symlink_to("/etc")
    (root / "rerun/loop").symlink_to("..")
    (root / "rerun/out").symlink_to("../..")
    (root / "rerun/gone").symlink_to("nowhere")
    before = plan_gen2(root).report
    report = plan_gen2(root, Options(count_unopened=True)).report
    rows, counted = (
        {row["path"]: (row["status"], row["reason"]) for row in one.files().to_pylist()}
        for one in (before, report)
    )
    for some in (rows, counted):
        assert some["rerun/README.txt"] == ("ignored", "not a dataset")
        assert some["rerun/a/b.txt"] == some["rerun/gone"] == ("unrecognised", "in no rerun")
        assert some["rerun/loop"] == ("unrecognised", "a link to what is converted otherwise")
        assert some["rerun/out"][1] == "no rerun"
    assert rows["attic/deep"] == ("not opened", "no template leads there")
    not_opened = {path for path, (status, _) in counted.items() if status == "not opened"}
    expected = {"attic/deep/x.fits", "attic/deep/er/y.txt", "attic/deep/link", "rerun/out"}
    assert not_opened == expected
    assert report.opened == before.opened, "what is listed to be counted is not searched for datasets"
    here = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_symlink() or p.is_file()}
    assert {path.removeprefix("CALIB/") for path in here} <= counted.keys()


def test_g8_what_is_not_selected_is_told_as_such(with_types: Path) -> None:
    report = plan_gen2(with_types, Options(types=("bias",), reruns=("b*",))).report
    reasons = {row["path"]: row["reason"] for row in report.not_converted()}
    assert reasons["rerun/a"] == "not selected"
    assert reasons["FLAT"] == "not selected"
    assert reasons["strange"] == "not selected", "it may be a field with raws"
    assert reasons["BIAS/x"] == "no template leads there"
    left_out = plan_gen2(with_types, Options(reruns=("x",)))
    assert left_out.report.camera == "HSC", "a broken rerun can be left out"
    with pytest.raises(RepositoryFormatError, match="rerun/a"):
        plan_gen2(with_types)


@pytest.fixture
def with_types(sparse: Callable[..., Path]) -> Path:
    """Some types, and two reruns, one of which is broken."""
    names = (
        "BIAS/2013-11-03/NONE/BIAS-2013-11-03-005.fits",
        "FLAT/2013-11-03/HSC-R/x.fits",
        "strange/x.fits",
        "BIAS/x/y",
    )
    root = sparse("hsc", [(name, 5) for name in names])
    (root / "_mapper").write_text("lsst.obs.hsc.HscMapper")
    (root / "calibRegistry.sqlite3").touch()
    (root / "rerun/a").mkdir(parents=True)
    (root / "rerun/a/repositoryCfg.yaml").write_text("[")
    return root
