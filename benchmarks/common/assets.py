"""Calls of assets without Dagster: the asset's function, with a context that records nothing."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dagster as dg

from pcip_assets.assets import skeleton
from pcip_assets.assets.skeleton import Remake


def call_asset(
    asset: dg.AssetsDefinition, shards: Sequence[str], *, config: dg.Config | None = None, **given: Any
) -> Any:
    """Call the function of an asset and return its result.

    Args:
        asset: of one key.
        shards: the partitions of the run; ignored by an asset without partitions.
        config: by default one that makes everything again.
        given: the resources that the function names.
    """
    context = SimpleNamespace(
        assets_def=asset,
        asset_key=asset.key,
        partition_keys=list(shards),
        log=SimpleNamespace(info=lambda *_: None, warning=lambda *_: None),
        run=SimpleNamespace(run_id="none"),
        instance=SimpleNamespace(compute_log_manager=None),
        add_asset_metadata=lambda *_, **__: None,
    )
    with patch.object(skeleton, "record", lambda _, outcome, __: outcome):
        return asset.op.compute_fn.decorated_fn(context, config or Remake(force=True), **given)
