"""Pictures in the metadata of assets, so that Dagster's pages show them in place.

The pages show a Markdown value in place if it has fewer than 1,000 characters, and otherwise behind a button. So a
picture is kept beside the output of its run, from where every webserver of Dagster serves it, and its metadata value
is the address.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import dagster as dg

from pcip_assets.dagster_compat import keep_with_run

_EMBEDDED = re.compile(r"data:image/webp;base64,([A-Za-z0-9+/=]+)")


def picture(webp: bytes) -> dg.MarkdownMetadataValue:
    """A preview as metadata that contains it."""
    return dg.MetadataValue.md(f"![preview](data:image/webp;base64,{base64.b64encode(webp).decode()})")


def apart(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata of a run with its pictures in files; they stay in the metadata where Dagster keeps no files."""

    def address(embedded: re.Match[str]) -> str:
        content = base64.b64decode(embedded[1])
        name = hashlib.blake2b(content, digest_size=8).hexdigest()
        return keep_with_run(context.instance, context.run.run_id, f"{name}.webp", content) or embedded[0]

    return {
        name: dg.MetadataValue.md(_EMBEDDED.sub(address, value.md_str or ""))
        if isinstance(value, dg.MarkdownMetadataValue)
        else value
        for name, value in metadata.items()
    }
