"""`pcip ui`; that it serves both pages is tested in a browser (tests/end_to_end)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pcip_assets.cli.ui import serve
from pcip_assets.web import HOST
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError


def test_a_port_in_use_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PcipError, match=f"{HOST}:{port}: found the port in use"):
            serve(Workspace(tmp_path), dagster_port=port, mlflow_port=port)
    assert not list(tmp_path.iterdir())
