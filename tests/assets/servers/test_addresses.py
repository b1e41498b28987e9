"""Addresses of servers: where they may stand, what they may hold, and that no error shows a password."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pcip_assets.servers.addresses import ARTIFACTS, DAGSTER, MLFLOW, Addresses, addresses
from pcip_assets.servers.instance import dagster_database, dagster_home
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError

DATABASE = "postgresql://lab@db.lab.example:5432/"
SECRET = "s3cret-word"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in (DAGSTER, MLFLOW, ARTIFACTS):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path / "data")


def write(workspace: Workspace, text: str, name: str = "data/servers.yaml") -> None:
    (workspace.folder / name).write_text(text)


def test_without_servers_everything_lies_in_the_workspace(workspace: Workspace) -> None:
    assert workspace.mlflow_uri == f"sqlite:///{workspace.data}/mlflow/mlflow.db"
    assert workspace.artifacts_uri("tiny") == f"file://{workspace.data}/mlflow/artifacts/tiny"
    assert dagster_database(workspace) is None


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_a_file_of_the_workspace_names_them(workspace: Workspace, scheme: str) -> None:
    write(
        workspace,
        f"mlflow: {scheme}://lab@db.lab.example/mlflow?sslmode=require\nartifacts: s3://lab/pcip/\n",
    )
    assert workspace.mlflow_uri == "postgresql+psycopg2://lab@db.lab.example/mlflow?sslmode=require"
    assert workspace.artifacts_uri("tiny") == "s3://lab/pcip/tiny"
    assert dagster_database(workspace) is None


def test_variables_take_precedence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write(workspace, f"dagster: {DATABASE}dagster\nmlflow: {DATABASE}mlflow\nartifacts: kept here\n")
    assert workspace.artifacts("tiny") == workspace.data / "kept here" / "tiny"
    monkeypatch.setenv(MLFLOW, f"{DATABASE}of_me")
    monkeypatch.setenv(ARTIFACTS, "/srv/lab files")
    assert workspace.mlflow_uri.endswith("/of_me")
    assert workspace.artifacts_uri("tiny") == "file:///srv/lab%20files/tiny"
    assert dagster_database(workspace) == f"postgresql+psycopg2://{DATABASE.partition('//')[2]}dagster"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"mlflow: postgresql://lab:{SECRET}@db/mlflow", "a password"),
        (f"dagster: postgresql://db/dagster?user=lab&password={SECRET}", "a password"),
        (f"artifacts: s3://key:{SECRET}@host/bucket", "a password"),
        (f"artifacts: s3://key:a/{SECRET}@bucket/folder", "a password"),
        (f"mlflow: postgresql://lab:12/{SECRET}@db/mlflow", "a password"),
        (f"mlflow: postgresql://lab@db/mlflow?sslpassword={SECRET}", "a password"),
        ("mlflow: postgresql://lab@db/ml flow", "an address with a space"),
        ("mlflow: postgresql:/mlflow", "an address without ://"),
        ("mlflow:", "mlflow: found no text"),
        ("mlflow: ''", "mlflow: found no scheme"),
        ("artifacts: ''", "artifacts: found ''"),
        ("artifacts: .", r"artifacts: found '\.'; required: a folder of its own"),
        ("artifacts: s3:/bucket", "artifacts: found 's3:/bucket'"),
        ("artifacts: 's3://'", "artifacts: found 's3://'"),
        ("artifacts: s4://bucket", "artifacts: found 's4://bucket'"),
        ("artifacts: s3://bucket/a?b", "artifacts: found 's3://bucket/a.b'"),
        ("artifacts: s3://bucket/../b", "artifacts: found 's3://bucket/"),
        (f"mlflow: mysql://lab@db/{SECRET}", "the scheme 'mysql'"),
        ("mlflow: db.lab.example", "no scheme"),
        ("mlflow: postgresql://lab@db:5432", "without the name of a database"),
        ("mlflow: postgresql://lab@db:port/mlflow", "cannot be read"),
        ("mlflow: 5", "no text"),
        ("mlfow: postgresql://db/mlflow", "may mean mlflow"),
        ("- postgresql://db/mlflow", "no addresses"),
        (f"mlflow: {DATABASE}one\ndagster: {DATABASE}one", "one database for Dagster and MLflow"),
        ("artifacts: file:///srv/lab", "a file: URI"),
    ],
)
def test_what_an_address_cannot_be(workspace: Workspace, text: str, found: str) -> None:
    write(workspace, text)
    with pytest.raises(PcipError, match=found) as caught:
        addresses(workspace.data)
    assert SECRET not in str(caught.value)
    assert "servers.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "# mlflow: postgresql://db/mlflow\n"])
def test_a_file_without_addresses_is_as_none(workspace: Workspace, text: str) -> None:
    write(workspace, text)
    assert addresses(workspace.data) == Addresses()


def test_a_file_that_is_not_there_is_not_taken_for_none(workspace: Workspace) -> None:
    file = workspace.data / "servers.yaml"
    file.symlink_to("not_mounted.yaml")
    with pytest.raises(PcipError, match=r"servers\.yaml: found no such file"):
        addresses(workspace.data)
    file.unlink()
    file.mkdir()
    with pytest.raises(PcipError, match=r"servers\.yaml: found no such file"):
        addresses(workspace.data)


def test_letters_of_the_scheme_and_spaces_around_do_not_matter(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MLFLOW, " PostgreSQL://lab@db/mlflow\n")
    assert addresses(workspace.data).mlflow == "postgresql+psycopg2://lab@db/mlflow"


def storage_of(workspace: Workspace) -> object:
    return yaml.safe_load((dagster_home(workspace) / "dagster.yaml").read_text())["storage"]


def test_settings_of_dagster_may_name_a_variable(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(workspace, f"storage: {{postgres: {{postgres_url: {{env: {DAGSTER}}}}}}}\n", "dagster.yaml")
    with pytest.raises(PcipError, match=f"the variable {DAGSTER}, which is not set"):
        dagster_home(workspace)
    monkeypatch.setenv(DAGSTER, f"{DATABASE}dagster")
    address = "postgresql+psycopg2://lab@db.lab.example:5432/dagster"
    assert storage_of(workspace) == {"postgres": {"postgres_url": address}}
    monkeypatch.setenv(DAGSTER, f"postgresql://lab:{SECRET}@db/dagster")
    with pytest.raises(PcipError, match="an address with a password") as caught:
        dagster_home(workspace)
    assert SECRET not in str(caught.value)


def test_other_storage_of_dagster_is_kept_unless_it_is_sqlite(workspace: Workspace) -> None:
    own = {"postgres": {"postgres_db": {"hostname": "db", "username": "lab", "db_name": "d"}}}
    write(workspace, yaml.safe_dump({"storage": own}), "dagster.yaml")
    assert storage_of(workspace) == own
    write(workspace, "storage: {sqlite: {base_dir: elsewhere}}\n", "dagster.yaml")
    assert storage_of(workspace) == {"sqlite": {"base_dir": str(workspace.dagster_home)}}
    own["postgres"]["postgres_db"]["password"] = SECRET
    write(workspace, yaml.safe_dump({"storage": own}), "dagster.yaml")
    with pytest.raises(PcipError, match="found a password") as caught:
        dagster_home(workspace)
    assert SECRET not in str(caught.value)
