"""What single features see: the asset `units` and the command, on the tiny screen of two compartments."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pytest
from click.testing import CliRunner

from pcip_assets.assets.units.asset import build_units
from pcip_assets.assets.units.shown import network_of
from pcip_assets.cli.main import cli
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.models.files import load_encoder
from pcip_core.models.inference import extract_features
from pcip_core.store.publish import connect
from tests.assets.conftest import Finished, in_memory

SET = "inpainting_conv3"


@pytest.fixture(scope="module")
def shown(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny screen with the units of its feature set; look, do not touch."""
    made = finished.copied(tmp_path_factory.mktemp("units"))
    data = str(made.workspace.data)
    result = dg.materialize(
        [build_units(made.screen)],
        instance=in_memory(made.workspace),
        resources={"library": Library(data=data), "tracking": Tracking(data=data)},
    )
    assert result.success
    return made


def vectors(made: Finished) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, features and labels, by SQL."""
    with connect(made.workspace.published) as con:
        rows = con.execute(
            f"SELECT cell_id, features, localization[1] FROM tiny.cell_features_{SET} JOIN tiny.images USING (image_id)"
        ).fetchall()
    ids, features, labels = zip(*rows, strict=True)
    return list(ids), np.array(features, np.float64), np.array(labels)


def test_the_units_are_those_with_most_variance_between_labels_and_their_cells_the_extreme_ones(
    shown: Finished,
) -> None:
    ids, features, labels = vectors(shown)
    centred = features - features.mean(0)
    between = sum(
        (labels == label).sum() * centred[labels == label].mean(0) ** 2
        for label in ("Nucleoplasm", "Cytosol")
    )
    total = (centred**2).sum(0)
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    rows = shown.store.read("tiny", "units").to_dicts()
    assert 2 <= len(rows) <= 6
    assert rows[0]["unit"] == share.argmax()
    assert {row["label"] for row in rows} == {"Nucleoplasm", "Cytosol"}
    value = dict(zip(ids, features, strict=True))
    for row in rows:
        unit = row["unit"]
        assert row["share"] == pytest.approx(share[unit])
        assert row["grouped_by"] == "localization"
        ranked = np.sort(features[:, unit])
        assert [value[cell][unit] for cell in row["highest"]] == ranked[::-1][:8].tolist()
        assert [value[cell][unit] for cell in row["lowest"]] == ranked[:8].tolist()
        assert shown.workspace.figure("tiny", f"units_{row['rank']}").read_bytes().startswith(b"\x89PNG")


def test_the_network_of_a_set_gives_its_features_again_or_the_reason_why_not(shown: Finished) -> None:
    tracking = Tracking(data=str(shown.workspace.data))
    network = network_of(tracking, shown.screen, SET)
    expected = extract_features(
        load_encoder(tracking.champion("tiny").folder), np.zeros((1, 2, 16, 16), np.uint8), layers=("conv3",)
    )["conv3"]
    found = extract_features(network.network, np.zeros((1, 2, 16, 16), np.uint8), layers=(network.layer,))
    np.testing.assert_array_equal(found["conv3"], expected)
    maps = network.maps(np.full((2, 2, 16, 16), 9, np.uint8), np.ones(expected.shape[1]))
    assert maps.shape == (2, 2, 16, 16)
    assert not maps.any()  # nothing to occlude
    for name, reason in (("classic", "no trained network"), (f"{SET}_by_plate", "all cells of a group")):
        without = network_of(tracking, shown.screen, name)
        assert reason in without.reason
        assert without.maps(np.zeros((2, 2, 16, 16), np.uint8), np.ones(3)).shape == (0, 2, 16, 16)


def test_the_command_shows_any_unit_or_direction(shown: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCIP_DATA", str(shown.workspace.data))

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["units", str(shown.spec), *words])
        return result.exit_code, " ".join((result.output + str(result.exception or "")).split())

    code, output = run("intensity", "0")
    assert code == 0, output
    assert "no occlusion maps: intensity has no trained network" in output
    code, output = run(SET, "Cytosol..Nucleoplasm")
    assert code == 0, output
    picture = shown.workspace.figure("tiny", f"unit_{SET}_Cytosol..Nucleoplasm")
    assert picture.read_bytes().startswith(b"\x89PNG")
    for words, message in (
        ((SET, "9999"), "a unit from 0 to"),
        ((SET, "Cytosol..Golgi"), "two of Cytosol, Nucleoplasm"),
        (("nothing", "1"), "feature set nothing"),
    ):
        code, output = run(*words)
        assert code == 1
        assert message in output
