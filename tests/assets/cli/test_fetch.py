"""`pcip fetch` as a person types it: its output and its exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import pytest

from pcip_assets.cli.main import main
from tests.core.fetch.yeast_fields import write_fields
from tests.fake_atlas import ALPHA, BETA, FakeAtlas, fill, serving


@pytest.fixture
def atlas(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAtlas]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        fill(server)
        yield server


@pytest.fixture
def pcip(monkeypatch, capsys):
    """Run a command line; returns (exit code, what was printed)."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pcip", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_fetch_alone_lists_what_can_be_had_and_how_to_import_the_rest(pcip):
    code, text = pcip("fetch")
    assert code == 0
    for part in ("pcip fetch hpa", "cyclops_wt2", "nop1pr_gfp", "nup49_rfp", "DeepLoc_full_datasets.zip"):
        assert part in text
    assert "pcip fetch check chong_labelled_cells FOLDER" in text


def test_a_download_ends_by_naming_the_next_command(pcip, atlas, tmp_path):
    (tmp_path / "list.txt").write_text(f"{ALPHA}\nBETA2\n")
    to = tmp_path / "hpa"
    arguments = ("--proteins", tmp_path / "list.txt", "--to", to, "--base-url", atlas.url, "--rate", 500)
    code, text = pcip("fetch", "hpa", *arguments)
    assert code == 0
    assert "2 listed = 2 known + 0 unknown" in text
    assert "5 found = 5 fetched + 0 already present + 0 failed" in text
    assert "1 picture: ciliated cell lines" in text
    assert text.rstrip().endswith(
        f"Next: pcip init --from human_protein_atlas && pcip run human_protein_atlas --root {to}"
    )
    code, text = pcip("fetch", "hpa", *arguments, "--channels", "blue,red,green", "--connections", 2)
    assert code == 0
    assert "15 found = 15 fetched" in text
    assert atlas.most_connections <= 5


def test_what_is_missing_is_printed_and_the_exit_code_says_so(pcip, atlas, tmp_path):
    del atlas.files["/36770/762_F2_1_blue_red_green.jpg"]
    (tmp_path / "list.txt").write_text(f"{BETA}\nNOSUCH\n")
    code, text = pcip(
        *("fetch", "hpa", "--proteins", tmp_path / "list.txt", "--to", tmp_path / "hpa"),
        *("--base-url", atlas.url, "--rate", 500, "--attempts", 2),
    )
    assert code == 1
    assert "unknown   NOSUCH" in text
    assert "762_F2_1_blue_red_green.jpg: HTTP 404 Not Found" in text
    assert "1 file failed, listed in" in text
    assert (tmp_path / "hpa/failures.csv").is_file()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--channels", "blau"), "pcip: channels: found blau"),
        (("--rate", 0), "pcip: rate_per_s: found 0"),
        (("--column", "x"), "a column 'x'"),
    ],
)
def test_mistakes_are_one_line_and_no_traceback(pcip, atlas, tmp_path, extra, said):
    (tmp_path / "list.csv").write_text(f"gene\n{ALPHA}\n")
    code, text = pcip(
        *("fetch", "hpa", "--proteins", tmp_path / "list.csv", "--to", tmp_path / "hpa"),
        *("--base-url", atlas.url, *extra),
    )
    assert code == 1
    assert said in text
    assert "Traceback" not in text


def test_a_list_that_is_not_there(pcip, tmp_path):
    code, text = pcip("fetch", "hpa", "--proteins", tmp_path / "no.txt", "--to", tmp_path / "hpa")
    assert (code, "no such file" in text, "Traceback" in text) == (1, True, False)


def test_ctrl_c_ends_a_download_soon_and_without_a_traceback(atlas, tmp_path):
    (tmp_path / "list.txt").write_text(f"{ALPHA}\n{BETA}\n")
    command = [
        sys.executable,
        "-m",
        "pcip_assets.cli",
        "fetch",
        "hpa",
        "--rate",
        "0.001",
        "--to",
        tmp_path / "hpa",
    ]
    command += ["--proteins", tmp_path / "list.txt", "--base-url", atlas.url]
    ready = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell in the background has it ignored
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=ready) as process:
        until = time.monotonic() + 300
        while not atlas.log:
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130  # the next request would be made after 1,000 s
        assert process.stderr is not None
        text = process.stderr.read()
    assert "stopped" in text
    assert "Traceback" not in text


def test_check_tells_what_is_there_and_what_is_missing(pcip, tmp_path):
    write_fields(tmp_path / "nup", 2, 3)
    code, text = pcip("fetch", "check", "nup49_rfp", tmp_path / "nup")
    assert code == 0
    assert "found       2 proteins" in text
    assert "missing     proteins: 2 here, 4,149 in the screen" in text
    assert text.rstrip().endswith(
        f"Next: pcip init --from nup49_rfp && pcip run nup49_rfp --root {tmp_path / 'nup'}"
    )
    (tmp_path / "empty").mkdir()
    code, text = pcip("fetch", "check", "nup49_rfp", tmp_path / "empty")
    assert code == 1
    assert "the folder is empty" in text
    code, text = pcip("fetch", "check", "nup48", tmp_path)
    assert (code, "one of cyclops_wt2" in text) == (1, True)
