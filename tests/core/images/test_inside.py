"""Files under a root: links, folders that cannot be listed, and plates that cannot, one of which stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images import inside
from pcip_core.images.inside import Tree, is_plain, opened, require_inside
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from pcip_core.images.watching import stamps
from pcip_core.store.paths import shard_folder
from tests.core.images.writers import noise, screen_of

FILES = {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}


def _write(folder: Path, wells: tuple[str, ...] = ("A01", "A02")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for well in wells:
        for channel in ("nucleus", "protein"):
            tifffile.imwrite(folder / f"{well}_{channel}.tif", noise(len(well)))


def test_a_root_and_folders_linked_directly_into_it_are_followed(tmp_path):
    """The layout of a screen on two disks: disks/1 holds plate 1, disks/2 plate 2, and the root links to both."""
    _write(tmp_path / "disks" / "1" / "P1")
    _write(tmp_path / "disks" / "2")
    _write(tmp_path / "real" / "P3")
    (tmp_path / "real" / "P1").symlink_to(tmp_path / "disks" / "1" / "P1")
    (tmp_path / "real" / "P2").symlink_to("../disks/2")
    (tmp_path / "root").symlink_to("real")
    screen = screen_of(tmp_path / "root", FILES)
    layout = scan(screen)
    assert layout.shards() == ["P1", "P2", "P3"]
    assert len(layout.fields) == 6
    assert layout.unclaimed == []
    for field in layout.fields:
        assert read_field(screen, field)["nucleus"].shape == (24, 32)


def test_a_file_linked_directly_into_the_root_is_read(tmp_path):
    _write(tmp_path / "store")
    (tmp_path / "root").mkdir()
    for file in (tmp_path / "store").iterdir():
        (tmp_path / "root" / f"P1_{file.name}").symlink_to(file)
    screen = screen_of(tmp_path / "root", FILES | {"pattern": "{plate}_{well}_{channel}.tif"})
    assert len([read_field(screen, field) for field in scan(screen).fields]) == 2


def test_a_deeper_link_out_of_the_root_is_refused_and_the_rest_is_read(tmp_path):
    _write(tmp_path / "root" / "P1")
    _write(tmp_path / "elsewhere")
    (tmp_path / "root" / "P1" / "A03_nucleus.tif").symlink_to(tmp_path / "elsewhere" / "A01_nucleus.tif")
    (tmp_path / "root" / "P1" / "A03_protein.tif").symlink_to("A01_protein.tif")
    (tmp_path / "root" / "P1" / "sub").symlink_to(tmp_path / "elsewhere")
    screen = screen_of(tmp_path / "root", FILES)
    layout = scan(screen)
    assert layout.unclaimed == ["P1/sub/"]  # named, not followed
    *good, linked = layout.fields
    assert len([read_field(screen, field) for field in good]) == 2
    with pytest.raises(
        ImageFileError, match=r"A03_nucleus\.tif: found a path that leads out of the root, to .*elsew"
    ):
        read_field(screen, linked)
    assert len(content_hash(screen, linked)) == 32


def test_links_in_circles_end(tmp_path):
    _write(tmp_path / "root" / "P1")
    for name, target in (("self", "self"), ("here", "."), ("above", ".."), ("P2", "P1"), ("gone", "nowhere")):
        (tmp_path / "root" / name).symlink_to(target)
    layout = scan(screen_of(tmp_path / "root", FILES))
    assert [field.field_id for field in layout.fields] == ["P1_A01", "P1_A02"]
    assert layout.unclaimed == ["P2/", "above/", "gone", "here/", "self"]


def test_paths_of_a_table_stay_under_the_root(tmp_path):
    _write(tmp_path / "root" / "P1")
    _write(tmp_path / "root" / "P2")
    _write(tmp_path / "elsewhere")
    rows = ["plate,well,nucleus,protein", "P1,A01,P1/A01_nucleus.tif,P1/A01_protein.tif"]
    rows += ["P1,A02,../elsewhere/A02_nucleus.tif,P1/A02_protein.tif"]
    rows += [f"P1,A03,{tmp_path}/elsewhere/A01_nucleus.tif,{tmp_path}/root/P2/A01_protein.tif"]
    rows += ["P1,A04,gone.tif,P2/A02_protein.tif"]
    (tmp_path / "root" / "table.csv").write_text("\n".join(rows))
    screen = screen_of(
        tmp_path / "root", {"layout": "manifest", "table": "table.csv", "image_id": "{plate}_{well}"}
    )
    good, above, absolute, gone = scan(screen).fields
    read_field(screen, good)
    for field in (above, absolute):
        with pytest.raises(ImageFileError, match="leads out of the root"):
            read_field(screen, field)
    with pytest.raises(ImageFileError, match="no such file"):
        read_field(screen, gone)
    assert list(stamps(screen, scan(screen))) == [good.shard]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    _write(tmp_path / "root" / "P1")
    _write(tmp_path / "root" / "P2")
    real = os.scandir

    def refusing(path: str) -> object:
        if str(path).rstrip("/").endswith(refused):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(inside.os, "scandir", refusing)
    refused = "P2"
    layout_screen = screen_of(tmp_path / "root", FILES)
    layout = scan(layout_screen)
    assert layout.shards() == ["P1", "P2"]
    assert layout.unclaimed == []
    (unread,) = layout.of_shard("P2")
    with pytest.raises(
        ImageFileError, match=r"P2: found a folder that must not be read \(Permission denied\)"
    ):
        read_field(layout_screen, unread)
    refused = "root"
    with pytest.raises(RootError, match=r"cannot be listed \(Permission denied\)"):
        scan(screen_of(tmp_path / "root", FILES))


def test_names_that_no_store_accepts_make_no_shard_that_none_accepts(tmp_path):
    for plate in ("a\nb", "c...d", "e\x07", "f"):
        _write(tmp_path / "root" / plate, ("A01",))
    screen = screen_of(tmp_path / "root", FILES)
    layout = scan(screen)
    assert layout.shards() == ["a_b", "c_d", "e_", "f"]
    assert [read_field(screen, field).shape for field in layout.fields] == [(24, 32)] * 4
    assert all(shard_folder(shard) for shard in layout.shards())


def test_a_name_in_another_encoding_is_shown_and_refused(tmp_path):
    _write(tmp_path / "root" / "P1", ("A01",))
    for channel in ("nucleus", "protein"):
        name = os.fsencode(tmp_path / "root" / "P1") + f"/µ_{channel}.tif".encode("latin-1")
        tifffile.imwrite(os.fsdecode(name), noise(1))
    screen = screen_of(tmp_path / "root", FILES)
    good, odd = scan(screen).fields
    read_field(screen, good)
    assert odd.field_id == "P1_\\xb5"
    with pytest.raises(ImageFileError, match="bytes that are not UTF-8"):
        read_field(screen, odd)
    content_hash(screen, odd)


def test_a_named_pipe_is_never_opened(tmp_path):
    _write(tmp_path / "root" / "P1", ("A01",))
    for channel in ("nucleus", "protein"):
        os.mkfifo(tmp_path / "root" / "P1" / f"A02_{channel}.tif")
    screen = screen_of(tmp_path / "root", FILES)
    _, pipe = scan(screen).fields
    content_hash(screen, pipe)
    with pytest.raises(ImageFileError, match="a pipe or a device"):
        read_field(screen, pipe)
    with pytest.raises(OSError, match="not a regular file"):
        opened(tmp_path / "root" / "P1" / "A02_nucleus.tif")


@pytest.mark.parametrize("layout", ["opera", "ome_zarr"])
def test_bad_plates_of_one_name_are_fields_of_their_own(tmp_path, layout):
    """Three plates that cannot be read, two of them in folders of one name, do not stop the scan."""
    for folder in ("x/P", "y/P", "Q"):
        (tmp_path / "root" / folder).mkdir(parents=True)
        (tmp_path / "root" / folder / ("Index.xml" if layout == "opera" else ".zattrs")).write_text("{half")
    files = {"layout": layout, "image_id": "{plate}_{well}", "only": {"field": 1}}
    screen = screen_of(tmp_path / "root", files, shards={"by": "{plate}"})
    fields = scan(screen).fields
    assert sorted(field.shard for field in fields) == ["P", "P", "Q"]
    assert len({field.field_id for field in fields}) == 3
    assert len(scan(screen).problems()) == 3
    before = [content_hash(screen, field) for field in fields]
    for field in fields:
        with pytest.raises(ImageFileError, match=r"(Index\.xml|\.zattrs): found"):
            read_field(screen, field)
    (tmp_path / "root" / "Q" / ("Index.xml" if layout == "opera" else ".zattrs")).write_text("{other")
    after = [content_hash(screen, field) for field in fields]
    assert [a == b for a, b in zip(before, after, strict=True)] == [field.shard != "Q" for field in fields]


def test_walk_gives_what_os_walk_gives_without_links(tmp_path):
    for folder in ("a/b/c", "a/d", "e"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "f").touch()
    ours = {tmp_path / folder: (set(folders), set(names)) for folder, folders, names in Tree(tmp_path).walk()}
    theirs = {Path(folder): (set(folders), set(names)) for folder, folders, names in os.walk(tmp_path)}
    assert ours == theirs


def test_plain_paths():
    good = ["A/1", "0", "labels/cells", "a b", "..a", "a.."]
    bad = [
        "",
        ".",
        "..",
        "../a",
        "a/../b",
        "/a",
        "a//b",
        "a/",
        "./a",
        "a\0",
        "a\\b",
        None,
        1,
        ["a"],
        np.str_("/a"),
    ]
    assert [path for path in good if not is_plain(path)] == []
    assert [path for path in bad if is_plain(path)] == []


def test_require_inside_resolves_every_step(tmp_path):
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "root" / "link").symlink_to("../out")
    (tmp_path / "root" / "above").symlink_to("..")
    (tmp_path / "root" / "a" / "link").symlink_to("../../far")
    (tmp_path / "root" / "a" / "linked").symlink_to("../../out")
    for path in ("a", "a/x", "a/../b", "link/x", "a/linked/x"):
        require_inside(tmp_path / "root", tmp_path / "root" / path)
    for path in ("..", "../far", "a/link", "a/link/x", "link/..", "link/../x", "/etc/hostname"):
        with pytest.raises(ImageFileError, match="leads out of the root"):
            require_inside(tmp_path / "root", tmp_path / "root" / path)


def test_links_within_the_screen_are_followed_and_no_file_is_used_twice(tmp_path):
    """A farm of links: plates/P1 leads into the root, plates/P3 into a folder that is linked directly into it."""
    root = tmp_path / "root"
    _write(root / "raw" / "0001")
    _write(tmp_path / "store" / "0003")
    (root / "plates").mkdir()
    (root / "disk").symlink_to(tmp_path / "store")
    (root / "plates" / "P1").symlink_to("../raw/0001")
    (root / "plates" / "P3").symlink_to(tmp_path / "store" / "0003")
    (root / "plates" / "again").symlink_to("P1")
    screen = screen_of(root, FILES | {"pattern": "plates/{plate}/{well}_{channel}.tif"})
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == ["P1_A01", "P1_A02", "P3_A01", "P3_A02"]
    for field in layout.fields:
        read_field(screen, field)
    assert "plates/again/" in layout.unclaimed
    assert layout.doubts(screen) == [
        f"plates/again/ is a link to {root}/raw/0001, whose files are read at their own place"
    ]
    every = scan(screen_of(root, FILES | {"pattern": "**/{plate}/{well}_{channel}.tif"}))
    assert [field.parts["plate"] for field in every.fields] == ["0001", "0001", "0003", "0003"]


def test_links_that_lead_to_each_other_end(tmp_path):
    root = tmp_path / "root"
    for folder in ("A", "B"):
        _write(root / folder)
    (root / "A" / "to_b").symlink_to("../B")
    (root / "B" / "to_a").symlink_to("../A")
    (root / "B" / "here").symlink_to("../B")
    layout = scan(screen_of(root, FILES | {"pattern": "**/{plate}/{well}_{channel}.tif"}))
    assert [field.field_id for field in layout.fields] == ["A_A01", "A_A02", "B_A01", "B_A02"]


def test_a_link_out_of_the_root_that_may_hold_images_goes_to_quarantine(tmp_path):
    _write(tmp_path / "root" / "week1" / "P1")
    _write(tmp_path / "store" / "P2")
    (tmp_path / "root" / "week1" / "P2").symlink_to(tmp_path / "store" / "P2")
    files = FILES | {"pattern": "{week}/{plate}/{well}_{channel}.tif"}
    screen = screen_of(tmp_path / "root", files)
    layout = scan(screen)
    assert layout.shards() == ["P1", "P2"]
    with pytest.raises(
        ImageFileError, match=r"week1/P2: found a link out of the root, to .*: link that folder"
    ):
        read_field(screen, layout.of_shard("P2")[0])
    before = content_hash(screen, layout.of_shard("P2")[0])
    (tmp_path / "store" / "P2" / ".zattrs").write_text("{}")
    assert content_hash(screen, layout.of_shard("P2")[0]) == before  # nothing out of the root is read
    (tmp_path / "root" / "store").symlink_to(tmp_path / "store")  # the remedy
    assert len(scan(screen).of_shard("P2")) == 2
