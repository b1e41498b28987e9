"""`data/compute.yaml` is read whole or refused, and chooses the engine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pcip_assets.compute.engine import Local, engine_of, training_start
from pcip_assets.compute.settings import Compute, Needs, compute_settings
from pcip_assets.workspace import Workspace
from pcip_core.errors import ComputeError, PcipError
from tests.assets.imports import imported_packages


def workspace(folder: Path, text: str | None) -> Workspace:
    if text is not None:
        (folder / "compute.yaml").write_text(text)
    return Workspace(folder)


@pytest.mark.parametrize("text", [None, "", "engine: local\ntraining_workers: 8\n"])
def test_shards_are_computed_in_this_process_unless_the_file_says_otherwise(
    text: str | None, tmp_path: Path
) -> None:
    here = workspace(tmp_path, text)
    assert isinstance(engine_of(here), Local)
    assert training_start(here, tmp_path, None) is None


def test_ray_is_not_imported_for_the_local_engine() -> None:
    packages = imported_packages(
        "import pcip_assets.definitions; from pcip_assets.workspace import Workspace; "
        "from pcip_assets.compute.engine import engine_of; from pathlib import Path; engine_of(Workspace(Path('none')))"
    )
    assert "pcip_assets" in packages
    assert "ray" not in packages


def test_needs_of_an_asset_replace_the_general_ones(tmp_path: Path) -> None:
    text = "engine: ray\ngpus: 0.25\nmemory_gb: 2\nassets: {crops: {cpus: 4}, cell_features: {gpus: 0, memory_gb: 8}}\n"
    settings = compute_settings(workspace(tmp_path, text))
    assert settings.needs("crops", on_gpu=False) == Needs(4, 0, 2)
    assert settings.needs("cell_features", on_gpu=True) == Needs(1, 0, 8)
    assert settings.needs("control_features", on_gpu=True) == Needs(1, 0.25, 2)
    assert settings.address == "auto"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine: slurm", "`engine`: input should be 'local' or 'ray'"),
        ("engin: ray", "unknown key `engin`, which may mean engine (known: engine, address, "),
        ("engine: ray\ncpus: 0", "cpus 0 (required: more than 0, at most 100,000)"),
        ("engine: ray\ngpus: 1.5", "found gpus 1.5; required: whole numbers above 1"),
        ("engine: ray\ngpus: 0.333333", "found gpus 0.333333; required: at most 4 digits after the point"),
        ("engine: ray\ncpus: 0.00001", "found cpus 1e-05; required: at most 4 digits after the point"),
        ("assets: {crops: {cpus: 2.5}}", "found assets.crops.cpus 2.5; required: whole numbers above 1"),
        ("engine: ray\nattempts: 0", "attempts 0 (required: 1 to 100)"),
        ("engine: ray\naddress: head", "found address 'head'; required: auto, local, or HOST:PORT"),
        ("engine: ray\naddress: ray://head:10001", "required: auto, local, or HOST:PORT"),
        ("- ray", "`the file`: a list of 1 (required: a mapping)"),
        (
            "assets: {crop: {cpus: 2}}",
            "assets.crop, which may mean crops; required: assets that are made by shard",
        ),
        (
            "assets: {crops: {cpu: 2}}",
            "unknown key `assets.crops.cpu`, which may mean cpus (known: cpus, gpus, ",
        ),
        ("engine: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PcipError, match=re.escape(message)) as caught:
        compute_settings(workspace(tmp_path, text))
    assert "compute.yaml" in str(caught.value)


def test_a_link_to_nowhere_is_not_taken_for_no_file(tmp_path: Path) -> None:
    (tmp_path / "compute.yaml").symlink_to("not_mounted.yaml")
    with pytest.raises(PcipError, match=r"compute\.yaml: found no such file"):
        compute_settings(Workspace(tmp_path))


def test_without_ray_the_remedy_is_its_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ComputeError, match=r"found no package ray.*pip install 'pcip\[ray\]'"):
        engine_of(workspace(tmp_path, "engine: ray"))


PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "run-on-a-cluster.md").read_text()


def test_the_file_of_the_page_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(# data/compute.yaml\n.*?)```", PAGE, re.DOTALL)
    settings = compute_settings(workspace(tmp_path, block))
    assert settings.needs("crops", on_gpu=False) == Needs(4, 0, 4)
    assert settings.training_workers == 4


def test_the_page_has_every_key_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", PAGE, re.MULTILINE))
    values = vars(Compute()).items()
    defaults = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values}
    assert {name: rows[name].strip(" `") for name in defaults} == defaults | {"memory_gb": "", "assets": ""}
