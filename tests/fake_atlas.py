"""A small Human Protein Atlas on 127.0.0.1, made of tiny valid files, that can fail in every way a server can.

Each path can have a list of moods, one per request: `500`, `503:<seconds>`, `stall`, `drip`, `cut` (the announced
length is longer than the body), `html` (a web page with status 200), `norange`. After the last mood, the file is
served correctly, including ranges.
"""

from __future__ import annotations

import gzip
import io
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import imageio.v3 as iio
import numpy as np
import tifffile

PAGE = b"<!DOCTYPE html><html><body>Sorry, too many requests</body></html>"
STALL_S = 120.0  # longer than any client here waits, also on a loaded machine


def picture(seed: int, *, side: int = 24) -> np.ndarray:
    """A small noisy RGB picture."""
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def jpg(seed: int, *, side: int = 24) -> bytes:
    """A small valid JPEG."""
    return iio.imwrite("<bytes>", picture(seed, side=side), extension=".jpg")


def png(seed: int) -> bytes:
    """A small valid PNG."""
    return iio.imwrite("<bytes>", picture(seed), extension=".png")


def tif(seed: int) -> bytes:
    """A small valid one-channel TIFF."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, picture(seed)[..., 0].astype(np.uint16))
    return stream.getvalue()


def tif_gz(seed: int) -> bytes:
    """The same, gzipped."""
    return gzip.compress(tif(seed), mtime=0)


class FakeAtlas(ThreadingHTTPServer):
    """The server: `files` by path, `moods` by path, and a log of what was asked and when."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.moods: dict[str, list[str]] = defaultdict(list)
        self.log: list[tuple[float, str, str | None, str]] = []  # when, path, Range, User-Agent
        self.delay_s = 0.0
        self.validators = True
        self.at_once = self.most_at_once = self.connections = self.most_connections = 0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what these tests are about."""

    def asked(self, path: str) -> list[str | None]:
        """The `Range` of each request for this path, in order."""
        return [ranged for _, one, ranged, _ in self.log if one == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeAtlas
    timeout = 120

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1
            self.server.most_connections = max(self.server.most_connections, self.server.connections)

    def finish(self) -> None:
        super().finish()
        with self.server.lock:
            self.server.connections -= 1

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.log.append(
                (time.monotonic(), self.path, self.headers["Range"], self.headers["User-Agent"])
            )
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            mood = server.moods[self.path].pop(0) if server.moods[self.path] else ""
        try:
            time.sleep(server.delay_s)
            self._answer(mood)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.lock:
                server.at_once -= 1

    def _answer(self, mood: str) -> None:
        body = self.server.files.get(self.path)
        if mood.startswith("5") or mood.startswith("4"):
            status, _, wait = mood.partition(":")
            self._send(int(status), PAGE, {"Retry-After": wait} if wait else {})
        elif mood == "html":
            self._send(200, PAGE, {"Content-Type": "text/html"})
        elif body is None:
            self._send(404, PAGE, {})
        else:
            self._serve(body, mood)

    def _serve(self, body: bytes, mood: str) -> None:
        headers = {"ETag": f'"{hash(body)}"'} if self.server.validators else {}
        start = 0
        ranged = self.headers["Range"]
        same = self.headers["If-Range"] in (None, headers.get("ETag"))
        if ranged and same and mood != "norange":
            start = int(ranged.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        if mood in ("cut", "stall", "drip"):
            self._start(206 if start else 200, len(rest), headers)
            half = rest[: len(rest) // 2]
            self.wfile.write(half)
            self.wfile.flush()
            self.close_connection = True
            sent, until = len(half), time.monotonic() + (STALL_S if mood != "cut" else 0)
            while time.monotonic() < until:
                time.sleep(0.1)
                if mood == "drip":
                    self.wfile.write(rest[sent : sent + 1])
                    self.wfile.flush()
                    sent += 1
        else:
            self._send(206 if start else 200, rest, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._start(status, len(body), headers)
        self.wfile.write(body)

    def _start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving() -> Iterator[FakeAtlas]:
    """A running server, stopped at the end."""
    server = FakeAtlas()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def page(
    base: str, ensembl: str, gene: str, antibodies: dict[str, list[tuple[str, str, list[str], list[str]]]]
) -> str:
    """The XML page of a gene, in the form of the atlas' pages.

    `antibodies` maps an id to (subAssay's attributes, cell line, locations, image names) each.
    """

    def image(name: str) -> str:
        url = name if name.startswith("http") else f"{base}/36770/{name}"
        return f'<image imageType="sampleImage"><imageUrl>{url}</imageUrl></image>'

    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<proteinAtlas schemaVersion="3.0"><entry version="25">'
        f"<name>{gene}</name><synonym>X</synonym>"
        f'<identifier id="{ensembl}" db="Ensembl"><xref id="P{ensembl[-5:]}" db="Uniprot/SWISSPROT"/>'
        f'<xref id="1" db="NCBI GeneID"/></identifier>'
        f'<cellExpression source="HPA" technology="ICC/IF"><summary>Somewhere.</summary>'
        f"<image><imageUrl>{base}/36770/999_Z9_9_blue_red_green.jpg</imageUrl></image></cellExpression>"
    ]
    for antibody, assays in antibodies.items():
        parts.append(
            f'<antibody id="{antibody}" releaseVersion="10"><tissueExpression><data><tissue>Liver</tissue>'
            f"<patient><sample><assayImage>{image('100007_A_1_8.jpg')}</assayImage></sample></patient></data>"
            f'</tissueExpression><cellExpression technology="ICC/IF">'
        )
        for attributes, cell_line, locations, names in assays:
            parts.append(
                f'<subAssay {attributes}><data><cellLine organ="Bone">{cell_line}</cellLine>'
                + "".join(
                    f'<location status="main" GOId="GO:1">{one.replace("&", "&amp;")}</location>'
                    for one in locations
                )
                + f"<assayImage>{''.join(map(image, names))}</assayImage></data></subAssay>"
            )
        parts.append("</cellExpression></antibody>")
    return "".join(parts) + "</entry></proteinAtlas>"


HUMAN = 'type="human" subtype="human cell lines"'
ALPHA, BETA = "ENSG00000000001", "ENSG00000000002"
FIELDS = {  # image names without channel -> how the composite is called on the page
    "410_D12_1": "410_D12_1_blue_red_green.jpg",
    "410_D12_2": "410_D12_2_blue_red_green.jpg",
    "411_D12_1": "411_D12_1_blue_red_green.jpg",
    "762_F2_1": "762_F2_1_blue_red_green.jpg",
    "762_F2_2": "762_F2_2_cr5bb224b655898_blue_red_green.jpg",
}


def fill(server: FakeAtlas) -> None:
    """Two genes, three images, five fields; every channel as jpg and tif.gz; and the table of genes."""
    server.files[f"/{ALPHA}.xml"] = page(
        server.url,
        ALPHA,
        "ALPHA1",
        {
            "HPA000001": [
                (HUMAN, "U-2 OS", ["nucleoplasm", "cytosol"], [FIELDS["410_D12_1"], FIELDS["410_D12_2"]]),
                (HUMAN, "A-431", ["rods & rings"], [FIELDS["411_D12_1"]]),
                ('type="human" subtype="ciliated cell lines"', "RPTEC", [], ["412_D1_7_blue_red_green.jpg"]),
                ('type="mouse"', "NIH 3T3", [], ["413_D1_1_blue_red_green.jpg"]),
                (HUMAN, "U-2 OS", [], ["si1_D1_1_blue_red_green.jpg"]),
            ]
        },
    ).encode()
    server.files[f"/{BETA}.xml"] = page(
        server.url,
        BETA,
        "BETA2",
        {
            "CAB000002": [
                ('type="human"', "U-251 MG", ["mitochondria"], [FIELDS["762_F2_1"], FIELDS["762_F2_2"]])
            ]
        },
    ).encode()
    for seed, (name, composite) in enumerate(FIELDS.items()):
        server.files[f"/36770/{composite}"] = jpg(seed)
        for shift, colour in enumerate(("blue", "red", "green", "yellow")):
            server.files[f"/36770/{name}_{colour}.jpg"] = jpg(10 * seed + shift)
            server.files[f"/36770/{name}_{colour}.tif.gz"] = tif_gz(10 * seed + shift)
    table = f"Gene\tGene synonym\tEnsembl\tUniprot\nALPHA1\tA1, OLDA\t{ALPHA}\tP1\nBETA2\t\t{BETA}\tP2\n"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("proteinatlas.tsv"), table)
    server.files["/download/proteinatlas.tsv.zip"] = stream.getvalue()
