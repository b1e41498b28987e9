"""The version of an asset changes with any code that decides its result, and with nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest

from pcip_assets.definitions import screen_assets
from pcip_assets.lineage.version import DECIDES_NOTHING, FIGURES, Code, Part
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from tests.assets.conftest import EVERYTHING, FEATURES, write_random_vgg16
from tests.assets.lineage.changed_code import FILES, INSTALLED, changed
from tests.assets.lineage.tracing import traced
from tests.conftest import write_tiny_screen


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dg.AssetsDefinition]:
    """Noun -> asset, of a screen with everything switched on."""
    folder = tmp_path_factory.mktemp("everything")
    write_random_vgg16(folder / "vgg16.pth")
    spec = write_tiny_screen(
        folder,
        baselines=EVERYTHING,
        features=FEATURES,
    )
    return assets_of(Workspace(folder / "data"), spec)


def assets_of(workspace: Workspace, spec: Path) -> dict[str, dg.AssetsDefinition]:
    """Noun -> asset of a screen."""
    return {asset.key.path[-1]: asset for asset in screen_assets(workspace.find(str(spec)))}


def root_of(asset: dg.AssetsDefinition) -> str:
    """The function that builds an asset, as `module:function`."""
    function = asset.op.compute_fn.decorated_fn  # type: ignore[union-attr]
    return f"{function.__module__}:{function.__qualname__.partition('.')[0]}"


def keeps_figures(asset: dg.AssetsDefinition) -> bool:
    return INSTALLED.version(root_of(asset), figures=True) in asset.code_versions_by_key.values()


def closure_of(asset: dg.AssetsDefinition) -> frozenset[Part]:
    return INSTALLED.closure(root_of(asset), figures=keeps_figures(asset))


def version_in(code: Code, asset: dg.AssetsDefinition) -> str:
    return code.version(root_of(asset), figures=keeps_figures(asset))


def test_every_asset_has_the_version_of_the_code_that_builds_it(
    assets: dict[str, dg.AssetsDefinition],
) -> None:
    assert len(assets) == 36
    for noun, asset in assets.items():
        root = root_of(asset)
        known = {INSTALLED.version(root), INSTALLED.version(root, figures=True)}
        assert set(asset.code_versions_by_key.values()) <= known, noun
        assert len({part.module for part in closure_of(asset)}) > 3, noun


def test_a_change_in_any_module_of_the_closure_changes_the_version(
    assets: dict[str, dg.AssetsDefinition],
) -> None:
    for noun, asset in assets.items():
        one_of = {part.module: part for part in sorted(closure_of(asset)) if is_plain(part)}
        for part in one_of.values():
            assert version_in(changed(part), asset) != version_in(INSTALLED, asset), (noun, part)


def test_a_change_outside_the_closure_does_not_change_the_version(
    assets: dict[str, dg.AssetsDefinition],
) -> None:
    every = sorted(set().union(*map(closure_of, assets.values())))
    every = [part for part in every if part.name and is_plain(part)]
    for number, asset in enumerate(assets.values()):
        closure = closure_of(asset)
        outside = [part for part in every if part not in closure]
        for part in outside[number :: len(outside) // 3]:
            assert version_in(changed(part), asset) == version_in(INSTALLED, asset), (asset.key, part)


def test_what_decides_nothing_changes_no_version(assets: dict[str, dg.AssetsDefinition]) -> None:
    files = dict(FILES)
    for path, text in FILES.items():
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if is_below(module, DECIDES_NOTHING):
            tree = ast.parse(text)
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    node.body.append(ast.Pass())
            files[path] = ast.unparse(tree)
    assert files != FILES
    code = Code(files)
    for asset in assets.values():
        assert version_in(code, asset) == version_in(INSTALLED, asset), asset.key


def test_all_that_decides_nothing_exists() -> None:
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in FILES}
    assert {*DECIDES_NOTHING, FIGURES} <= modules


def test_comments_and_docstrings_change_no_version(assets: dict[str, dg.AssetsDefinition]) -> None:
    files = {}
    for path, text in FILES.items():
        files[path] = text
        if path.endswith(".py"):
            tree = ast.parse(text)
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
                    node.value = ast.Constant("Another docstring.")
            files[path] = "# a comment\n\n" + ast.unparse(tree)
    code = Code(files)
    for asset in assets.values():
        assert version_in(code, asset) == version_in(INSTALLED, asset), asset.key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pcip_core.clustering.linkage", "pcip_core.analysis.trees"),
        ("pcip_core.features", "pcip_core.descriptions.of_cells"),
        ("pcip_core.models", "pcip_core.networks"),
        ("pcip_core.images.reading", "pcip_core.crops.reading"),
    ],
)
def test_moving_a_module_changes_no_version(
    assets: dict[str, dg.AssetsDefinition], old: str, new: str
) -> None:
    (parent, _, name), (new_parent, _, new_name) = old.rpartition("."), new.rpartition(".")
    moved = {}
    for path, text in FILES.items():
        text = re.sub(rf"^( *from ){re.escape(old)}\b", rf"\g<1>{new}", text, flags=re.MULTILINE)
        module = rf"^( *from ){re.escape(parent)} import {name}\b"
        text = re.sub(module, rf"\g<1>{new_parent} import {new_name} as {name}", text, flags=re.MULTILINE)
        moved[path.replace(old.replace(".", "/"), new.replace(".", "/"), 1)] = text
    assert moved.keys() != FILES.keys()
    code = Code(moved)
    for asset in assets.values():
        assert version_in(code, asset) == version_in(INSTALLED, asset), asset.key


@pytest.mark.parametrize(
    ("noun", "module"),
    [
        ("clusters", "pcip_core.features.scaling"),  # standardize
        ("umap", "pcip_core.features.scaling"),
        ("designed_features", "pcip_core.segmentation.pieces"),
        ("designed_features", "pcip_core.segmentation.matching"),
        ("crops", "pcip_core.store.rows"),
        ("crops", "pcip_core.segmentation.otsu"),
        ("cell_features", "pcip_core.crops.pixels"),
        ("control_features", "pcip_core.crops.pixels"),
    ],
)
def test_what_hand_written_lists_had_left_out(
    assets: dict[str, dg.AssetsDefinition], noun: str, module: str
) -> None:
    assert module in {part.module for part in closure_of(assets[noun])}


def test_what_assets_call_is_in_their_closures(tmp_path: Path) -> None:
    """An independent truth: the calls that Python's profiler hears while a screen without training is made."""
    spec = write_tiny_screen(
        tmp_path, plates=1, analyses={"feature_set": "untrained_conv3", "phenotypes": {"least_cells": 9}}
    )
    workspace = Workspace(tmp_path / "data")
    assets, data = assets_of(workspace, spec), str(workspace.data)
    with dg.DagsterInstance.ephemeral() as instance, traced() as calls:
        instance.add_dynamic_partitions("tiny_shards", ["plate_1"])
        for nouns, shard in ((("fields", "crops", "control_features"), "plate_1"), (UNTRAINED, None)):
            made = dg.materialize(
                [assets[noun] for noun in nouns],
                partition_key=shard,
                instance=instance,
                resources={"library": Library(data=data), "tracking": Tracking(data=data)},
            )
            assert made.success
    assert len(calls) == 8
    for root, called in calls.items():
        closure = INSTALLED.closure(root, figures=True)
        deciding = {part for part in called if not is_below(part.module, DECIDES_NOTHING)}
        assert len(deciding) > 5, root
        assert deciding <= closure, root


UNTRAINED = ("protein_features", "clusters", "localization_scores", "variability", "phenotypes")


def is_plain(part: Part) -> bool:
    """Whether it is no bare statement."""
    return part.name != "(statements)"


def is_below(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def test_closures_hold_no_other_asset(assets: dict[str, dg.AssetsDefinition]) -> None:
    roots = {tuple(root_of(asset).split(":")) for asset in assets.values()}
    for noun, asset in assets.items():
        others = {tuple(part) for part in closure_of(asset)} & roots
        assert others == {tuple(root_of(asset).split(":"))}, noun


def test_every_file_of_data_counts_for_some_asset(assets: dict[str, dg.AssetsDefinition]) -> None:
    read = {part.module for asset in assets.values() for part in closure_of(asset) if not part.name}
    copied = ("pcip_core/spec/templates/", "pcip_assets/settings/")  # into a workspace, whose copies count
    shown = ("pcip_assets/browse/static/",)  # to a person, who looks at results
    data = {path for path in FILES if not path.endswith((".py", ".typed", ".md"))}
    assert read == {path for path in data if not path.startswith(copied + shown)}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        pytest.param("Number of members of the cluster.", "How many belong to it.", False, id="meaning"),
        pytest.param('"size": (INTEGER, "Number of m', '"size": (NUMBER, "Number of m', True, id="type"),
        pytest.param('"size": (INTEGER, "Number of m', '"members": (INTEGER, "Number of m', True, id="name"),
    ],
)
def test_meanings_of_columns_do_not_count(old: str, new: str, changes: object) -> None:
    path, root = (
        "pcip_core/store/schemas/analyses.py",
        "pcip_assets.assets.analyses.protein_map:build_clusters",
    )
    assert FILES[path].count(old) == 1
    code = Code({**FILES, path: FILES[path].replace(old, new)})
    assert (code.version(root) != INSTALLED.version(root)) == changes


def test_code_in_settings_counts_and_their_values_do_not(assets: dict[str, dg.AssetsDefinition]) -> None:
    path = "pcip_core/spec/screen.py"
    derived = 'if channel.role != "labels")'
    assert FILES[path].count(derived) == 1
    other_channels = Code({**FILES, path: FILES[path].replace(derived, 'if channel.role == "protein")')})
    more_keys = Code(
        {**FILES, path: FILES[path].replace("    channels:", "    another: int = 1\n    channels:", 1)}
    )
    for noun in ("crops", "cell_features", "encoder"):
        asset = assets[noun]
        assert version_in(other_channels, asset) != version_in(INSTALLED, asset), noun
        assert version_in(more_keys, asset) == version_in(INSTALLED, asset), noun
