"""How a table is described: `tables.py` and `result_tables.py` hold the descriptions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableDoc:
    """A table: `name` may hold `<feature_set>`; `columns` are name -> meaning, in the table's order."""

    name: str
    about: str
    columns: dict[str, str]
    whole_store: bool = False

    @property
    def pattern(self) -> str:
        """The name as a pattern of file-name style."""
        return self.name.replace("<feature_set>", "*")
