"""All that the commands of pcip import, imported once in the process from which the trials fork theirs.

Only imports: a thread or a lock that this process held would be held for ever in its children.
"""

from __future__ import annotations

import importlib
import pkgutil

import pcip_assets
import pcip_core

_THEIRS = (
    *("torch._dynamo", "safetensors.torch", "skimage.measure", "skimage.segmentation", "skimage.filters"),
    *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    *("mlflow.store.db.utils", "mlflow.models", "mlflow.system_metrics.system_metrics_monitor", "alembic.command"),
    *("git", "rich.table"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "sklearn.linear_model", "tifffile", "zarr", "h5py"),
)  # fmt: skip

for _package in (pcip_core, pcip_assets):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        if not _module.name.endswith("__main__"):
            importlib.import_module(_module.name)
for _name in _THEIRS:
    importlib.import_module(_name)
