"""Readers without pcip find what counts in a bucket, by the statements that the page about shared stores gives.

The extension httpfs of DuckDB 2 is not on PyPI. So the statements read a copy of the bucket, unless PCIP_HTTPFS names
the file of the extension, for the installed DuckDB.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb
import polars as pl

from pcip_core.store.partitions import Store
from pcip_core.store.rows import cells_table
from tests.conftest import REPOSITORY
from tests.core.store.places.s3_server import BUCKET, S3Server, raw
from tests.core.store.small import CELLS, cells_of

PAGE = REPOSITORY / "docs" / "how-to" / "share-a-store.md"


def statements() -> list[str]:
    (block,) = re.findall(
        r"```sql\n(-- cells of one screen in a bucket\n.*?)```", PAGE.read_text(), re.DOTALL
    )
    return [text.strip() for text in block.split(";") if text.strip()]


def copy_of_bucket(folder: Path) -> str:
    """Fetch all objects, also those that count no longer; the place of the store."""
    for page in raw().list():
        for each in page:
            path = folder / each["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(raw().get(each["path"]).bytes()))
    return str(folder / "some" / "prefix")


def test_statements_of_the_page_read_what_counts(store: Store, server: S3Server, tmp_path: Path) -> None:
    for shard, images in {"plate 1": "ab", "plate.2": "c", "plate_3": "d"}.items():
        for version in ("old", "new"):
            cells = cells_table(cells_of([f"{each} {version}" for each in images]), shard)
            store.commit("simulated_human", {"cells": cells}, shard=shard)
    store.commit("simulated_human", {"notes": pl.DataFrame({"note": ["no cells"]})}, shard="plate_4")
    extension, con = os.environ.get("PCIP_HTTPFS"), duckdb.connect()
    place = f"s3://{BUCKET}/some/prefix" if extension else copy_of_bucket(tmp_path)
    host = server.settings["AWS_ENDPOINT_URL"].removeprefix("http://")
    answers = []
    for text in statements():
        if text.startswith(("INSTALL", "LOAD", "CREATE SECRET", "-- ")) and not extension:
            continue
        text = text.replace("s3://my-bucket/pcip", place).replace("INSTALL httpfs", f"LOAD '{extension}'")
        own = f"ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false"
        answers.append(con.sql(text.replace("REGION 'us-east-1'", f"REGION 'us-east-1', {own}")))
    assert answers[-1].fetchall() == [(f"{each} new", CELLS) for each in "abcd"]
