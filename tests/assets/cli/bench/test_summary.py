"""The tables of docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pcip_assets.cli.bench import summary as bench_summary
from pcip_assets.cli.bench.run import descriptions
from pcip_core.errors import PcipError


def test_the_page_holds_the_reference_results() -> None:
    text = bench_summary.PAGE.read_text()
    tables = text.split(bench_summary.BEGIN)[1].split(bench_summary.END)[0]
    assert tables.strip() == bench_summary.summary(descriptions()).strip(), "run `pcip bench --summary`"


def test_a_summary_has_each_figure_with_an_aim(tmp_path: Path) -> None:
    rows = [
        {"what": "a | b", "value": 1234.5, "unit": "s", "aim": "< 2", "held": False},
        {
            "what": "fast",
            "value": 0.01234,
            "against": "slow",
            "against_value": 2.0,
            "ratio": 162.07,
            "aim": "> 1",
        },
        {"what": "no aim", "value": 1.0},
        {"what": "beside", "value": 1.0, "against": "other", "against_value": 3.0},
        {"what": "neighbours of 5 cells", "value": 1.0, "unit": "s"},
        *(
            {"what": f"reading, {n} x 4 by {n} shards", "value": n / 10, "unit": "s", "against_value": 1.0}
            for n in (10, 20, 40)
        ),
    ]
    record = {"machine": "one core", "commit": "abcdef0123456789", "seconds": 3, "rows": rows}
    (tmp_path / "knn.json").write_text(json.dumps(record))
    page = tmp_path / "page.md"
    page.write_text(f"above\n{bench_summary.BEGIN}old\n{bench_summary.END}below\n")
    bench_summary.write_summary({"knn": "speed of kNN"}, page, tmp_path)
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "old" not in text
    assert "no aim" not in text
    assert "### `pcip bench knn`\n\nSpeed of kNN." in text
    assert "Aims: 1 not met, 1 not judged; 8 figures" in text
    assert "one core; commit abcdef012. It took 3 s." in text
    assert "| a \\| b | 1,234 s |  |  | < 2 | **no** |" in text
    assert "| fast | 0.0123 | slow: 2 | 162 | > 1 | not judged |" in text
    assert "| beside | 1 | other: 3 |  |  |  |" in text
    assert "| N | 10 | 20 | 40 |\n|---|---|---|---|\n| reading, N x 4 by shards, s | 1 | 2 | 4 |\n" in text
    assert "neighbours" not in text
    page.write_text("no marks")
    with pytest.raises(PcipError, match="no place"):
        bench_summary.write_summary({"knn": "speed of kNN"}, page, tmp_path)
    assert page.read_text() == "no marks"
