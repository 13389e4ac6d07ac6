# SPDX-License-Identifier: BSD-3-Clause
"""What every camera has to do, as tests to inherit from.

A camera of yours is tested by::

    class TestMyCamera(CameraTests):
        camera = "my_camera.yaml"
        headers = [({"INSTRUME": "MyCam", ...}, {"exposure_id": 815, "detector": 0})]
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakebutler.butler.butler import Butler
from lakebutler.errors import ButlerError, HeaderError
from lakebutler.instruments.calibrations.names import CAMERA_TYPE
from lakebutler.instruments.calibrations.write import write_curated_calibrations
from lakebutler.instruments.cameras.camera import VISIT_SYSTEMS, Camera
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.cameras.geometry import detector_corners, detector_region
from lakebutler.instruments.cameras.register import register_instrument
from lakebutler.instruments.cameras.stored import geometry_of
from lakebutler.instruments.headers.observation import Observation, exposure_record
from lakebutler.instruments.headers.translate import accepts, require_translator, translate
from lakebutler.instruments.raws.ingest import ingest_raws

__all__ = ["CameraTests"]


class CameraTests:
    """The contract of a camera file, and of the translator it names.

    Attributes
    ----------
    camera : `str` or path-like
        Name of the camera, or the path of its file.
    headers : sequence of `tuple`
        Headers of raws, each with values of `Observation` that must follow from it; the
        name of the file, if rules ask for it, is the value ``file_name``.
    foreign : sequence of `Mapping`
        Headers of other cameras.
    """

    camera: str | os.PathLike[str]
    headers: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]] = ()
    foreign: Sequence[Mapping[str, Any]] = ({"INSTRUME": "nobody's camera", "TELESCOP": "none"}, {})

    @pytest.fixture
    def loaded(self) -> Camera:
        """The camera."""
        return load_camera(self.camera)

    def observe(self, loaded: Camera, number: int) -> tuple[Observation, dict[str, Any]]:
        """Translate one of the headers; give what should have come out, too."""
        cards, expected = self.headers[number]
        values = dict(expected)
        path = str(values.pop("file_name", "raw.fits"))
        return translate(loaded, dict(cards), path), values

    # --------------------------------------------------------------------- the file

    def test_it_can_be_handed_to_another_process(self, loaded: Camera) -> None:
        """As reading headers in parallel does."""
        assert pickle.loads(pickle.dumps(loaded)) == loaded

    def test_detectors_have_numbers_and_names_of_their_own(self, loaded: Camera) -> None:
        """Each is found by both."""
        for detector in loaded.detectors:
            assert loaded.detector(detector.id) is detector
            assert loaded.detector(detector.name) is detector
            assert 0 <= detector.id < loaded.limits.detector

    def test_filters_are_found_by_every_spelling(self, loaded: Camera) -> None:
        """No spelling stands for two."""
        for one in loaded.filters:
            assert one.band
            assert all(loaded.filter(spelling) is one for spelling in (one.name, *one.aliases))

    def test_its_visit_systems_and_its_day_are_known(self, loaded: Camera) -> None:
        """The first system is that of the instrument record; a day begins within a day."""
        assert loaded.visit_systems
        assert set(loaded.visit_systems) <= set(VISIT_SYSTEMS)
        assert -86400 < loaded.day_obs_offset_s < 86400

    def test_its_detectors_lie_apart_in_the_focal_plane(self, loaded: Camera) -> None:
        """If it has one: no two have the same middle, and each has a region on the sky."""
        if loaded.focal_plane is None:
            return
        middles = set()
        for detector in loaded.detectors:
            assert detector.placement is not None
            corners = detector_corners(detector.placement)
            middles.add(tuple(corners.mean(axis=0).round(3)))
            region = detector_region(loaded, detector, ra_deg=10.0, dec_deg=-20.0, sky_angle_deg=30.0)
            assert len(region.getVertices()) == 4
        assert len(middles) == len(loaded.detectors)

    # ------------------------------------------------------------------ the headers

    def test_its_translator_exists(self, loaded: Camera) -> None:
        """If it names one."""
        require_translator(loaded)

    def test_it_knows_its_own_headers_and_no_others(self, loaded: Camera) -> None:
        """Headers without what marks the camera are somebody else's."""
        assert all(accepts(loaded, dict(cards)) for cards, _ in self.headers)
        assert not any(accepts(loaded, dict(cards)) for cards in self.foreign)

    def test_headers_give_what_is_expected(self, loaded: Camera) -> None:
        """Value by value."""
        for number in range(len(self.headers)):
            observed, expected = self.observe(loaded, number)
            assert {name: getattr(observed, name) for name in expected} == expected

    def test_what_headers_give_fits_the_camera_and_the_registry(self, loaded: Camera) -> None:
        """Detectors and filters exist, numbers are within the limits, times in order."""
        for number in range(len(self.headers)):
            observed, _ = self.observe(loaded, number)
            assert observed.instrument == loaded.name
            assert observed.detector in loaded.detectors_by_id
            assert loaded.filter(observed.physical_filter).name == observed.physical_filter
            assert 0 <= observed.exposure_id < loaded.limits.exposure
            begin, end = exposure_record(observed)["timespan"].nsec
            assert begin < end

    def test_the_same_header_gives_the_same(self, loaded: Camera) -> None:
        """Twice, and without being changed."""
        for number, (cards, _) in enumerate(self.headers):
            before = dict(cards)
            assert self.observe(loaded, number)[0] == self.observe(loaded, number)[0]
            assert dict(cards) == before

    def test_a_header_that_lacks_a_card_is_refused_in_one_line_or_does_without(self, loaded: Camera) -> None:
        """Whichever card it is."""
        for cards, expected in self.headers:
            path = str(expected.get("file_name", "raw.fits"))
            for card in cards:
                rest = {key: value for key, value in cards.items() if key != card}
                if not accepts(loaded, rest, path):
                    continue
                said = ""
                try:
                    translate(loaded, rest, path)
                except HeaderError as err:
                    said = err.message
                assert "\n" not in said

    # --------------------------------------------------------------- a repository

    def test_it_registers_and_its_raws_are_ingested(self, loaded: Camera, tmp_path: Path) -> None:
        """From FITS files made of the headers; a second time nothing happens."""
        butler = Butler.from_config(Butler.makeRepo(tmp_path / "repo"), writeable=True)
        assert sum(register_instrument(butler, loaded).values()) > 0
        assert sum(register_instrument(butler, loaded).values()) == 0
        several = loaded.raw.units != "image"  # detectors in a file, which cannot be made from a header
        files = [self._written(tmp_path / str(n), n) for n in range(0 if several else len(self.headers))]
        first = ingest_raws(butler, files, instrument=loaded, transfer="direct")
        assert not first.rejected, [file.reason for file in first.rejected]
        again = ingest_raws(butler, files, instrument=loaded, transfer="direct")
        assert again.counts["present"] == len(files)
        (tmp_path / "junk.fits").write_text("no header")
        with_junk = ingest_raws(
            butler, [*files, tmp_path / "junk.fits"], instrument=loaded, transfer="direct"
        )
        assert [file.reason for file in with_junk.rejected] == ["not a FITS file"]

    def _written(self, folder: Path, number: int) -> Path:
        import numpy as np
        from astropy.io import fits

        cards, expected = self.headers[number]
        header = fits.Header()
        for key, value in cards.items():
            header[key if len(key) <= 8 else f"HIERARCH {key}"] = value
        folder.mkdir()
        path = folder / str(expected.get("file_name", f"raw_{number}.fits"))
        fits.PrimaryHDU(np.zeros((4, 4), np.uint16), header).writeto(path)
        return path

    def test_its_geometry_comes_back_from_a_repository(self, loaded: Camera, tmp_path: Path) -> None:
        """As a dataset with validity, to the last bit."""
        with Butler.from_config(Butler.makeRepo(tmp_path / "kept"), writeable=True) as butler:
            register_instrument(butler, loaded)
            report = write_curated_calibrations(butler, loaded)
            assert not report.refused, report.refused
            found = butler.get(CAMERA_TYPE, instrument=loaded.name, collections=report.collection)
            assert found == geometry_of(loaded)

    def test_a_repository_refuses_another_camera_of_its_name(self, loaded: Camera, tmp_path: Path) -> None:
        """Unless it is told to update."""
        from dataclasses import replace

        butler = Butler.from_config(Butler.makeRepo(tmp_path / "repo"), writeable=True)
        register_instrument(butler, loaded)
        other = replace(loaded, class_name="another.class")
        with pytest.raises(ButlerError, match="class_name"):
            register_instrument(butler, other)
        assert register_instrument(butler, other, update=True)["instrument"] == 1
