"""Print `docs/tables.md`."""

from __future__ import annotations

from pcip_core.store.schemas import describe_tables

print("\n".join(describe_tables()))
