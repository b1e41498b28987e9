"""Illumination and quality from the files to the page: what is made again, what is excluded, what SQL finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import tifffile
import yaml

from pcip_assets.assets.main.crops import build_crops
from pcip_assets.assets.main.fields import build_fields
from pcip_assets.assets.main.quality import build_quality_report
from pcip_assets.partitions import register_shards, shards_of
from pcip_assets.resources import Library
from pcip_assets.workspace import Workspace
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from tests.conftest import write_tiny_screen


class Small:
    """A screen of one plate, and the runs of its assets."""

    def __init__(self, folder: Path) -> None:
        self.spec = write_tiny_screen(folder, plates=1)
        self.root = Path(yaml.safe_load(self.spec.read_text())["root"])
        self.workspace = Workspace(folder / "data")
        self.store = Store(self.workspace.store)

    @property
    def screen(self) -> Screen:
        return load_screen(self.spec)

    def change(self, **sections: Any) -> None:
        self.spec.write_text(yaml.safe_dump(yaml.safe_load(self.spec.read_text()) | sections))

    def run(self, *, page: bool = False) -> dict[str, dict[str, Any]]:
        """Materialize fields and crops, and the page; asset -> its metadata."""
        screen = self.screen
        shards = shards_of(screen)
        assets = [(build_fields(screen, shards), "plate_1"), (build_crops(screen, shards), "plate_1")]
        assets += [(build_quality_report(screen), None)] if page else []
        library = Library(data=str(self.workspace.data))
        found = {}
        with dg.DagsterInstance.ephemeral() as instance:
            register_shards(instance, screen)
            for asset, key in assets:
                done = dg.materialize(
                    [asset], instance=instance, resources={"library": library}, partition_key=key
                )
                (event,) = done.get_asset_materialization_events()
                found[event.asset_key.path[-1]] = {
                    name: value.value for name, value in event.materialization.metadata.items()
                }
        return found

    def commit(self, table: str) -> str:
        """The last commit of a table."""
        return str((self.store.provenance("tiny", table, "plate_1") or {})["commit_id"])


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_a_changed_profile_makes_crops_again_and_an_unchanged_one_does_not(small: Small) -> None:
    y, x = np.mgrid[:160, :160] / 160 - 0.5
    shading = (1.2 - x**2 - y**2).astype(np.float32)
    for channel in ("nucleus", "protein"):
        np.save(small.root / f"light_{channel}.npy", shading)
    small.change(illumination={"method": "images", "images": "light_{channel}.npy", "offset": 90})
    first = small.run()
    assert first["fields"]["illumination"].startswith("![preview](/logs/")
    assert first["fields"]["illumination_protein"].startswith("images: gain 0.")
    commit, cells = small.commit("cells"), small.store.read("tiny", "cells")
    np.save(small.root / "light_protein.npy", shading)  # another date, the same content
    small.run()
    assert small.commit("cells") == commit
    np.save(small.root / "light_protein.npy", shading + 0.5)
    small.run()
    assert small.commit("cells") != commit
    pairs = zip(cells["intensity_max"], small.store.read("tiny", "cells")["intensity_max"], strict=True)
    nucleus, protein = zip(*([a == b for a, b in zip(*pair, strict=True)] for pair in pairs), strict=True)
    assert all(nucleus), "its profile is the same"
    assert not any(protein)


def test_flags_exclude_nothing_and_limits_do(small: Small) -> None:
    path = small.root / "plate_1" / "A02_f1_nucleus.tif"
    tifffile.imwrite(path, np.minimum(tifffile.imread(path), 300))
    made = small.run(page=True)
    assert made["fields"]["fields_saturated"] == made["quality_report"]["fields_flagged"] == 1
    page = small.workspace.quality_report("tiny").read_text()
    assert "Maps of plate plate_1" in page
    assert "plate_1_A02_1" in page
    assert "plate_1_A01_1" not in page
    with connect(small.workspace.published) as con:
        rows = con.sql("SELECT field_id, n_cells, flags FROM tiny.fields ORDER BY ALL").fetchall()
        assert rows == [(f"plate_1_A0{n}_1", 9, ["saturated"] if n == 2 else []) for n in (1, 2, 3, 4)]
        assert con.sql("SELECT count(*), count(DISTINCT channel) FROM tiny.field_quality").fetchall() == [
            (8, 2)
        ]
    small.change(quality={"saturated": {"at_most": 0.01}, "channels": ["nucleus"]})
    small.run()
    (row,) = small.store.read("tiny", "quarantine_fields").to_dicts()
    assert row["file"] == "plate_1/A02_f1_nucleus.tif"
    assert re.fullmatch(r"nucleus: saturated 0\.0\d+ \(quality\.saturated\.at_most 0\.01\)", row["reason"])
    assert row["content_hash"]
    assert set(small.store.read("tiny", "cells")["image_id"]) == {f"plate_1_A0{n}" for n in (1, 3, 4)}
