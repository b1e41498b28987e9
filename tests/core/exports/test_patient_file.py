"""HDF5 goes on with a file whose writes fail, reads from it what it wrote, and closes it."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from pcip_core.exports.patient_file import PatientFile


@pytest.mark.parametrize("room", [0, 1000, 10_000])
def test_hdf5_reads_what_could_not_be_written_and_closes_the_file(room: int, tmp_path: Path) -> None:
    texts, numbers = [f"text {number}" * 9 for number in range(700)], np.arange(9000.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with PatientFile(tmp_path / "x", "w+b") as patient:
            with h5py.File(patient, "w") as file:
                for name in "abc":
                    group = file.create_group(name)
                    group.attrs["name"] = name * 100
                    group.create_dataset("texts", (700,), h5py.string_dtype())[:] = np.array(texts, object)
                    group.create_dataset("numbers", data=numbers)
                    file.flush()
                for group in file.values():
                    assert [text.decode() for text in group["texts"]] == texts
                    assert np.array_equal(group["numbers"], numbers)
            with pytest.raises(OSError, match="too large") as failed:
                patient.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.errno == errno.EFBIG


def test_a_file_with_room_is_a_file(tmp_path: Path) -> None:
    with PatientFile(tmp_path / "x", "w+b") as patient:
        with h5py.File(patient, "w") as file:
            file["numbers"] = np.arange(1000)
        patient.check()
    with h5py.File(tmp_path / "x") as file:
        assert np.array_equal(file["numbers"], np.arange(1000))
