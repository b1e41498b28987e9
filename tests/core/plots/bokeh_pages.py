"""What a page hands to Bokeh, read back from it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html import unescape

import numpy as np


def documents(scripts: list[str]) -> str:
    """The JSON that the page's script hands to Bokeh, as Bokeh will read it."""
    found = re.search(r"const docs_json = '(.*)';\n", scripts[-1])
    assert found is not None
    return unescape(found[1].replace("\\\\", "\\"))


def values_of(array: dict) -> np.ndarray:
    """An array of the document, which Bokeh may have compressed."""
    data = base64.b64decode(array["array"]["data"])
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return np.frombuffer(data, array["dtype"]).reshape(array["shape"])


def attributes(text: str, name: str) -> list[dict]:
    """Attributes of every model of a kind in the document."""
    found: list[dict] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("name") == name and "attributes" in node:
                found.append(node["attributes"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(text))
    return found
