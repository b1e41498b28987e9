"""Every code block of the documents is held by the code: specs load, queries run, commands parse, Python compiles.

What cannot be tried here is in `NOT_TRIED`, each with the reason.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import polars as pl
import pytest
import yaml

from pcip_assets.cli.main import cli
from pcip_core.spec.loading import load_screen
from pcip_core.store import journal
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from tests.conftest import REPOSITORY, TINY_SPEC
from tests.core.store import small

TEMPLATES = REPOSITORY / "pcip_core" / "spec" / "templates"
NOT_TRIED = {
    "docs/how-to/add-localization-terms.md: from pathlib": "needs a table of the atlas",
    "docs/how-to/bring-your-own-cells.md: def by_my_network": "is a signature",
    "docs/how-to/export.md: import scanpy": "tests/core/exports runs it",
    "docs/how-to/export.md: import pandas": "tests/core/exports runs it",
    "docs/how-to/export.md: import torch": "tests/core/exports loads such a program",
    "docs/how-to/look-at-cells.md: points =": "needs napari; tests/core/exports runs it where it is installed",
    "docs/how-to/run-on-a-cluster.md: # data/compute.yaml": "is no spec; tests/assets/compute reads it",
    "docs/how-to/run-on-a-cluster.md: # dagster.yaml": "names classes of packages that are not installed here",
    "docs/how-to/share-a-store.md: -- cells of one screen in a bucket": "tests/core/store/places runs it",
    "docs/how-to/train-again.md: import mlflow": "needs a server of MLflow",
    "docs/how-to/use-another-encoder.md: import torch": "tests/core/models/programs exports such programs",
    "docs/how-to/use-another-encoder.md: # not tried": "needs code and weights of others, as the page says",
    "docs/how-to/use-vgg16.md: import pickle": "needs a download",
    "docs/how-to/use-vgg16.md: network =": "needs a download",
    "docs/how-to/run-analyses.md: A:": "is a file of picks, not a spec",
}
PROGRAMS = {
    "cd": "of the shell", "export": "of the shell", "eval": "of the shell",
    "echo": "of the shell", "ln": "of the shell", "mkdir": "of the shell",
    "curl": "fetches from other servers", "tar": "unpacks what was fetched",
    "duckdb": "DuckDB's own program, which pip does not install", "podman": "a container",
    "pip": "installs packages", "python3": "makes an environment", "py-spy": "another profiler",
    "python": "runs a module of the benchmarks", "ray": "Ray's own program, of the extra ray",
    "sudo": "becomes root",
    "pg_dump": "of PostgreSQL", "pg_restore": "of PostgreSQL", "rsync": "copies files",
    "dg": "Dagster's own program, which pip does not install by itself",
}  # fmt: skip
"""Programs of the blocks other than pcip and make -> what they are."""
MARKERS = ("nucleus", "microtubules", "cytosol", "er", "dna", "rna", "agp", "mito")
ALL_CHANNELS = {**{name: {"role": "structural"} for name in MARKERS}, "protein": {"role": "protein"}}


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def not_tried(self) -> str | None:
        """Why the block cannot be tried; None if it can."""
        return next((why for key, why in NOT_TRIED.items() if self.key.startswith(key)), None)

    @property
    def key(self) -> str:
        return f"{self.page}: {self.text}"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    folders = [REPOSITORY / "docs", REPOSITORY / "pcip_core"]
    return [*REPOSITORY.glob("*.md"), *sorted(path for folder in folders for path in folder.rglob("*.md"))]


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for fence in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        lines = [line.removeprefix(fence[1]) for line in fence[3].splitlines()]
        number = text[: fence.start()].count("\n") + 1
        yield Block(page.relative_to(REPOSITORY).as_posix(), number, fence[2], "\n".join(lines))


BLOCKS = [block for page in pages() for block in blocks_of(page)]


def those(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and not block.not_tried]


# -- specs --------------------------------------------------------------------------------------------


def alternatives(text: str) -> list[dict[str, Any]]:
    """The parts of a spec in a block; a key that occurs again begins another one."""
    parts: list[dict[str, Any]] = [{}]
    for chunk in re.split(r"^(?=\w)", text, flags=re.MULTILINE):
        for key, value in (yaml.safe_load(chunk) or {}).items():
            if key in parts[-1]:
                parts.append({})
            parts[-1][key] = value
    return parts


@pytest.mark.parametrize("block", those("yaml"), ids=str)
def test_every_spec_or_part_of_one_loads(block: Block, tmp_path: Path) -> None:
    template = re.match(r"# (\w+)\.yaml", block.text)
    if template:
        base = yaml.safe_load((TEMPLATES / template[0][2:]).read_text())
    else:
        base = {**TINY_SPEC, "root": ".", "channels": ALL_CHANNELS, "encoder": {"recipe": "agreement"}}
    for part in alternatives(block.text):
        marker = next(
            (name for name, it in part.get("channels", {}).items() if it["role"] == "structural"), None
        )
        fitting = {"segmentation": {"method": "otsu", "options": {"channel": marker}}} if marker else {}
        spec = base | fitting | part
        (tmp_path / f"{spec['name']}.yaml").write_text(yaml.safe_dump(spec))
        assert load_screen(tmp_path / f"{spec['name']}.yaml").name == spec["name"]


# -- queries ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the screen `tiny`, which has every table that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    store = Store(folder / "data" / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "sync", lambda path: None)
        small.fill(store, "tiny", plates=1)
        for shard in store.shards("tiny", "images"):
            images = store.read("tiny", "images", shards=[shard]).with_columns(antibody=pl.lit("HPA1"))
            store.commit("tiny", {"images": images}, shard=shard)
    publish(store, folder / "data" / "feature_store.duckdb")
    return folder


def of_tiny(text: str) -> str:
    """The text with the screen, the proteins and the feature set of the tiny workspace."""
    text = re.sub(r"\b(simulated_human|simulated_yeast|my_screen|human_antibodies)\b", "tiny", text)
    text = re.sub(r"(\b|(?<=cell_features_))(agreement_conv5|subcell)\b", small.SET, text)
    return text.replace("SIMP005", "P0").replace("SIMP006", "P1")


@pytest.mark.parametrize("block", those("sql"), ids=str)
def test_every_query_runs(block: Block, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    with connect(workspace / "data" / "feature_store.duckdb") as con:
        for statement in con.extract_statements(of_tiny(block.text)):
            con.execute(statement)


# -- Python -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("page", sorted({block.page for block in those("python")}))
def test_the_python_of_a_page_runs(page: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    names: dict[str, Any] = {}
    for block in those("python"):
        if block.page == page:
            exec(compile(of_tiny(block.text).replace("my_workspace", "."), str(block), "exec"), names)


# -- commands -----------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a block, without comments."""
    for line in text.splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def parse(words: list[str]) -> None:
    """Let the command line parse a command of pcip, without running it.

    Raises:
        click.ClickException: it would not accept the command.
    """
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command, context = found, click.Context(found, parent=context)
    if not isinstance(command, click.Group):
        command.make_context("pcip", words)


@pytest.fixture
def any_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not exist, and a word in capitals (NAME) may stand for any choice."""
    choose = click.Choice.convert
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, context: value)
    monkeypatch.setattr(
        click.Choice,
        "convert",
        lambda self, value, param, context: value if value.isupper() else choose(self, value, param, context),
    )


@pytest.mark.usefixtures("any_value")
@pytest.mark.parametrize("block", those(""), ids=str)
def test_every_command_is_accepted(block: Block) -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for words in commands(block.text):
        program = Path(words[0]).name
        if program == "pcip":
            parse(words[1:])
        elif program == "make":
            assert words[1] in targets
        else:
            assert program in PROGRAMS, " ".join(words)


@pytest.mark.usefixtures("any_value")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_within_a_sentence_is_accepted(page: Path) -> None:
    if page.parent.name == "decisions" or page.name == "CHANGELOG.md":
        return  # these keep the names of their time
    spans = re.findall(r"`((?:\.venv/bin/)?pcip [^`\n]+)`", page.read_text())
    for text in (command for span in spans for command in span.split(" && ")):
        if not re.search(r"\.\.\.|\[|\||=|COMMAND|: ", text):  # several commands at once, or a sentence
            with contextlib.suppress(
                click.MissingParameter, click.BadOptionUsage
            ):  # named without its values
                parse(shlex.split(text)[1:])


# -- all of them --------------------------------------------------------------------------------------


def test_every_block_is_of_a_known_kind() -> None:
    assert {block.language for block in BLOCKS} == {"", "yaml", "sql", "python", "text"}


def test_every_reason_is_of_a_block() -> None:
    assert [key for key in NOT_TRIED if not any(block.key.startswith(key) for block in BLOCKS)] == []
    used = {Path(words[0]).name for block in those("") for words in commands(block.text)}
    assert sorted(set(PROGRAMS) - used) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_lists_are_lists_in_the_site_too(page: Path) -> None:
    """Python-Markdown needs an empty line before a list, four spaces in an item, and text between two lists."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^(?![-*] |\d+\. |[ |#>]).+\n(?=[-*] |1\. )", text, re.MULTILINE) == []
    assert re.findall(r"(?<=\n\n) {1,3}\S.*|^ {1,3}```.*", text) == []
    assert (
        re.findall(r"^(?:[-*]|\d+\.) (?:.+\n)+\n(?=1\. )|^\d+\. (?:.+\n)+\n(?=[-*] )", text, re.MULTILINE)
        == []
    )


def test_every_link_of_a_notebook_resolves() -> None:
    for notebook in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text())["cells"]
        prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        links = [link for link in re.findall(r"\]\(([^)#\s]+)", prose) if "://" not in link]
        assert [link for link in links if not (notebook.parent / link).exists()] == []


def test_notebooks_are_kept_without_results() -> None:
    for notebook in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text())["cells"]
        assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
