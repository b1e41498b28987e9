"""What Dagster shows of an asset that is a table: checked against the schemas and against Dagster's own graph."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pcip_assets.definitions import build_definitions, screen_assets
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.spec.loading import load_screen
from pcip_core.store.schemas import SCREEN
from pcip_core.store.schemas.lineage import SOURCES
from tests.assets.conftest import EVERYTHING, FEATURES
from tests.conftest import write_spec


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dg.AssetSpec]:
    """The assets of a screen with everything, by noun."""
    spec = write_spec(tmp_path_factory.mktemp("spec"), baselines=EVERYTHING, features=FEATURES)
    return {asset.key.path[-1]: next(iter(asset.specs)) for asset in screen_assets(load_screen(spec))}


def columns_of(spec: dg.AssetSpec) -> dict[str, dg.TableColumn]:
    schema = spec.metadata.get("dagster/column_schema")
    return {column.name: column for column in schema.columns} if schema else {}


def test_every_table_asset_has_a_name_and_described_columns(specs: dict[str, dg.AssetSpec]) -> None:
    without = {noun for noun, spec in specs.items() if "dagster/table_name" not in spec.metadata}
    assert without == {
        *("encoder", "autoencoder", "supervised", "like"),
        *("quality_report", "benchmark_report", "analysis_report"),
    }
    assert all(("parquet" in spec.kinds) == (noun not in without) for noun, spec in specs.items())
    names = {noun: spec.metadata["dagster/table_name"] for noun, spec in specs.items() if noun not in without}
    assert names["crops"] == "tiny.cells"
    assert names["knn_benchmark"] == "main.benchmarks"
    assert names["cell_features"].startswith("tiny.cell_features_")
    for noun, spec in specs.items():
        assert all(column.description and column.type for column in columns_of(spec).values()), noun


def test_columns_are_those_of_the_schemas(specs: dict[str, dg.AssetSpec]) -> None:
    listed = {name for spec in specs.values() for name in columns_of(spec)}
    views = {"quarantine", "confusion", "exclusions"}  # of several assets each
    by_users = {"labels_<name>", "predictions_<name>"}  # no asset of a screen without labels
    for table in SCREEN:
        for column in table.columns if table.name not in views | by_users else ():
            assert column in listed or f"{table.name}.{column}" in listed, f"{table.name}.{column}"
    fields = columns_of(specs["fields"])
    assert fields["height_px"].type == "INTEGER"
    assert fields["images.localization"].type == "VARCHAR[]"


def test_the_lineage_of_columns_follows_the_graph(specs: dict[str, dg.AssetSpec]) -> None:
    """Each source is a column of an asset that Dagster knows to be upstream."""
    upstream: dict[str, set[str]] = {}

    def above(noun: str) -> set[str]:
        if noun not in upstream:
            direct = {dep.asset_key.path[-1] for dep in specs[noun].deps}
            upstream[noun] = direct.union(*map(above, direct))
        return upstream[noun]

    seen = set()
    for noun, spec in specs.items():
        lineage = spec.metadata.get("dagster/column_lineage")
        for column, sources in lineage.deps_by_column.items() if lineage else ():
            assert column in columns_of(spec), f"{noun}: {column}"
            for source in sources:
                asset = source.asset_key.path[-1]
                seen.add(asset)
                assert asset in above(noun), f"{noun}.{column} from {asset}"
                assert source.column_name in columns_of(specs[asset]), f"{noun}.{column} from {source}"
    assert {"fields", "crops", "cell_features", "protein_features", "clusters"} <= seen
    vectors = specs["protein_features"].metadata["dagster/column_lineage"].deps_by_column["features"]
    assert {source.asset_key.path[-1] for source in vectors} == {"cell_features", "control_features"}


def test_the_lineage_names_columns_of_tables_that_exist() -> None:
    columns = {table.name.partition("_<")[0]: set(table.columns) for table in SCREEN}
    for sources in SOURCES.values():
        for source in (source for sources_of in sources.values() for source in sources_of):
            table, _, column = source.partition(".")
            assert column in columns[table], source


def test_code_references_lead_to_the_function_of_the_asset(specs: dict[str, dg.AssetSpec]) -> None:
    for noun, spec in specs.items():
        (reference,) = spec.metadata["dagster/code_references"].code_references
        path = Path(reference.file_path)
        assert path.is_relative_to(REPOSITORY / "pcip_assets" / "assets")
        lines = path.read_text().splitlines()[reference.line_number - 1 :]
        assert lines[0].strip().startswith("@asset("), noun


def test_every_setting_of_a_run_is_described(tmp_path: Path) -> None:
    screen = load_screen(write_spec(tmp_path, baselines=EVERYTHING, features=FEATURES))
    definitions = build_definitions(Workspace(tmp_path), [screen])
    for asset in screen_assets(screen):
        fields = asset.op.config_schema.config_type.fields  # type: ignore[attr-defined]
        assert fields
        assert all(field.description for field in fields.values()), asset.key
    for name, resource in (definitions.resources or {}).items():
        assert all(field.description for field in type(resource).model_fields.values()), name
