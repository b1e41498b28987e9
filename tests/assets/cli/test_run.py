"""Bad input at the command line: a named error or a row in quarantine; no traceback, no silent drop."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from pcip_assets.cli.main import main
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from tests.assets.conftest import damage
from tests.conftest import TINY_SPEC, draw_field, write_spec, write_tiny_screen


def pcip(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run the command line over a workspace in `folder`; returns the exit code."""
    monkeypatch.setenv("PCIP_DATA", str(folder / "data"))
    monkeypatch.setattr(sys, "argv", ["pcip", *arguments])
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


CHANNELS = TINY_SPEC["channels"]
SPECS = {
    "an unknown key": ({"colour": "red"}, "unknown key `colour`"),
    "an unknown key deep down": ({"crops": {"window": 32}}, "unknown key `crops.window`"),
    "the former name of a key": (
        {"yardsticks": {"sets": ["classic"]}},
        "Rename `yardsticks:` to `baselines:`",
    ),
    "no protein channel": (
        {"channels": {name: {"role": "structural"} for name in CHANNELS}},
        "no channel with `role: protein`",
    ),
    "no structural channel": (
        {"channels": {"protein": {"role": "protein"}}},
        "no channel with `role: structural`",
    ),
    "a root that is not there": ({"root": "nowhere"}, "no such folder"),
    "no root": ({"root": None}, "no root"),
    "a pattern that matches nothing": (
        {"files": {"pattern": "{plate}.{channel}.png", "image_id": "{plate}"}},
        "no file that matches",
    ),
    "a table that is not there": ({"images": {"table": "other.csv"}}, "other.csv: found no such file"),
    "a segmenter that is not there": ({"segmentation": {"method": "magic"}}, "'magic'"),
    "a name that SQL cannot have": ({"name": "My screen"}, "name 'My screen'"),
}


@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_spec_ends_in_one_line(
    case: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes, message = SPECS[case]
    spec = write_tiny_screen(tmp_path, plates=1, images=2)
    values = {**yaml.safe_load(spec.read_text()), **changes}
    spec.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))
    assert pcip(monkeypatch, tmp_path, command, str(spec)) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err + printed.out


def test_a_missing_channel_is_said_by_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_tiny_screen(tmp_path, plates=1, images=2)
    for path in (tmp_path / "images").rglob("*_protein.tif"):
        path.unlink()
    assert pcip(monkeypatch, tmp_path, "check", str(spec)) == 1
    assert "channel protein has no files at all" in capsys.readouterr().out


def test_two_screens_of_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "screens").mkdir(parents=True)
    write_spec(tmp_path / "data" / "screens", root=str(tmp_path))
    spec = write_tiny_screen(tmp_path, plates=1, images=2)
    assert pcip(monkeypatch, tmp_path, "run", str(spec)) == 1
    assert "found the name 'tiny', which" in capsys.readouterr().err


def test_damaged_files_are_quarantined_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_tiny_screen(tmp_path, plates=1, images=10)
    plate = tmp_path / "images" / "plate_1"
    damage(plate / "A01_f1_protein.tif")
    (plate / "A02_f1_nucleus.tif").unlink()
    bad = tifffile.imread(plate / "A03_f1_protein.tif").astype(np.float32)
    bad[5, 5] = np.nan
    tifffile.imwrite(plate / "A03_f1_protein.tif", bad)
    tifffile.imwrite(plate / "A04_f1_protein.tif", np.full((160, 160), 7, np.uint16))
    one = draw_field(np.random.default_rng(3), in_nucleus=True)
    one["nucleus"][:, 60:] = 100
    one["nucleus"][60:, :] = 100  # one nucleus is left
    one["nucleus"] = one["nucleus"] + np.arange(160, dtype=np.uint16)[:, None] % 3
    for name, plane in one.items():
        tifffile.imwrite(plate / f"A05_f1_{name}.tif", plane)
    for name in ("nucleus", "protein"):  # the same cells under another name
        (plate / f"A06_f1_{name}.tif").write_bytes((plate / f"A07_f1_{name}.tif").read_bytes())
    assert pcip(monkeypatch, tmp_path, "run", str(spec)) == 0, capsys.readouterr().err
    with connect(tmp_path / "data" / "feature_store.duckdb") as con:
        quarantine = con.sql("SELECT file, what, image_id, reason FROM tiny.quarantine").fetchall()
        used_fields = con.sql("SELECT count(*) FROM tiny.fields").fetchall()[0][0]
        images = con.sql("SELECT count(DISTINCT image_id) FROM tiny.cells").fetchall()[0][0]
        n_images = con.sql("SELECT n_images FROM main.screens").fetchall()[0][0]
    reasons = {image: reason for _, what, image, reason in quarantine if what == "file"}
    assert "a truncated TIFF" in reasons["plate_1_A01"]
    assert "no file for channel nucleus" in reasons["plate_1_A02"]
    assert "NaN" in reasons["plate_1_A03"]
    assert "constant channel" in reasons["plate_1_A04"]
    assert all(file for file, *_ in quarantine)
    of_image = {
        image: [r for _, _, at, r in quarantine if at == image] for image in {q[2] for q in quarantine}
    }
    assert any("image with 1 cell (" in reason for reason in of_image["plate_1_A05"])
    assert any("same pixels as cell plate_1_A06" in reason for reason in of_image["plate_1_A07"])
    assert used_fields + len(reasons) == 10
    assert n_images == 10
    assert images == 10 - len(of_image)


def test_a_screen_of_which_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_tiny_screen(tmp_path, plates=1, images=2, baselines={"sets": []})
    for path in (tmp_path / "images").rglob("*.tif"):
        damage(path)
    assert pcip(monkeypatch, tmp_path, "run", str(spec), "--baselines") == 1
    printed = capsys.readouterr()
    assert "no baselines to compute: the spec has no `baselines.sets`" in printed.out
    assert "no cells" in printed.err
    assert "SELECT" in printed.err, "it says where the reasons are"
    assert "Traceback" not in printed.err


def test_ctrl_c_ends_a_run_without_a_traceback_and_keeps_what_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_tiny_screen(tmp_path, plates=1, images=2)

    def press_ctrl_c(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("pcip_core.crops.shard.cut_shard", press_ctrl_c)
    assert pcip(monkeypatch, tmp_path, "run", str(spec)) == 130
    printed = capsys.readouterr().err
    assert "the same command goes on from there" in printed
    assert "Traceback" not in printed
    store = Store(tmp_path / "data" / "store")
    assert store.has("tiny", "fields", "plate_1")
    assert not store.has("tiny", "cells", "plate_1")
