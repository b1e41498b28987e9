"""Paths of images, cut into columns: the pieces between separators, of which each may vary from file to file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pcip_core.images.proposal.listing import extension

_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_PIECE = re.compile(rf"{_GUID}|(?<![^\W_])[A-P] ?- ?\d{{1,2}}(?!\d)|[^\W_]+")
_COMPOUND = re.compile(r"(?:[A-Za-z]+\d+){2,}")
_RUN = re.compile(r"([A-Za-z]+)(\d+)")
_MOST_EXAMPLES = 3


@dataclass
class Column:
    """One place in the paths of all files.

    Attributes:
        values: the text there, of each file.
        before: the text between it and the previous column.
        folder: whether it lies in the path of the folder.
        letters: the letters in front of a number within a piece that was cut (`T0001F001`); part of `before`.
        same_as: an earlier column that has the same text in each file.
    """

    values: list[str]
    before: str = ""
    folder: bool = False
    letters: str = ""
    same_as: Column | None = None
    distinct: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.distinct = sorted(set(self.values))

    @property
    def constant(self) -> bool:
        """Whether all files have the same text."""
        return len(self.distinct) == 1

    @property
    def numeric(self) -> bool:
        """Whether every text is digits."""
        return all(value.isascii() and value.isdigit() for value in self.distinct)


@dataclass
class Names:
    """Files whose paths have the same columns.

    Attributes:
        paths: the files.
        columns: in the order of the path.
        end: the text after the last column: the extension, with anything before it.
    """

    paths: list[str]
    columns: list[Column]
    end: str


Shape = tuple[str, ...]


def groups_of_names(paths: Sequence[str]) -> list[Names]:
    """Group files by the form of their paths, the largest group first.

    Files of one folder depth and extension whose names differ only in a first part (a protein with or without a
    hyphen, say) are one group: the first part is one column.
    """
    by_depth: dict[tuple[int, str], list[str]] = defaultdict(list)
    for path in paths:
        by_depth[path.count("/"), _plain_extension(path)].append(path)
    groups: list[Names] = []
    for members in by_depth.values():
        groups += _grouped(members)
    return sorted(groups, key=lambda group: -len(group.paths))


def _plain_extension(path: str) -> str:
    return extension(path).lower().replace(".tiff", ".tif").replace(".jpeg", ".jpg")


def _grouped(paths: list[str]) -> list[Names]:
    """Groups among files of one depth and extension."""
    repeated = _repeats_folder(paths)
    shapes: dict[Shape, list[str]] = defaultdict(list)
    for path in paths:
        shapes[_shape(_stem(path, hide=repeated))].append(path)
    ordered = sorted(shapes.items(), key=lambda item: -len(item[1]))
    if len(ordered) > 1:
        joined = _joined(ordered)
        if joined is not None:
            return [_names(paths, repeated, prefix_after=joined)]
    return [_names(members, repeated) for _, members in ordered]


def _repeats_folder(paths: Sequence[str]) -> bool:
    """Whether each name begins with the name of its folder: AAC1/AAC1_1_gfp.tif."""

    def repeats(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        last = folder.rpartition("/")[2]
        rest = name[len(last) :]
        return bool(last) and name.startswith(last) and not rest[:1].isalnum()

    return len({path.rpartition("/")[0] for path in paths}) > 1 and all(map(repeats, paths))


def _stem(path: str, *, hide: bool) -> str:
    """The name without its extension; the name of the folder in it is one letter if `hide`."""
    folder, _, name = path.rpartition("/")
    name = name[: len(name) - len(extension(path))]
    return "x" + name[len(folder.rpartition("/")[2]) :] if hide else name


def _shape(stem: str) -> Shape:
    """The texts between the pieces of a name, with those at its beginning and its end."""
    return tuple(_PIECE.split(stem))


def _joined(ordered: list[tuple[Shape, list[str]]]) -> int | None:
    """The number of separators at the end of the name that all shapes share, if the groups are of one kind.

    They are if the pieces after the first of these separators agree in their letters: f1_ch1 and f2_ch2.
    """
    shapes = [shape for shape, _ in ordered]
    common = 0
    while all(len(shape) > common + 2 and shape[-1 - common] == shapes[0][-1 - common] for shape in shapes):
        common += 1
    common -= 1  # of the text at the very end
    if common < 1:
        return None
    kinds = [
        {tuple(_kind(piece) for piece in _PIECE.findall(_stem(path, hide=False))[-common:]) for path in paths}
        for _, paths in ordered
    ]
    return common if set.intersection(*kinds) else None


def _kind(piece: str) -> str:
    """The form of a piece: its letters in front of a number, or `#` for a number, or the text itself."""
    match = _RUN.fullmatch(piece)
    return f"{match[1]}#" if match else "#" if piece.isdigit() else piece


def _names(paths: list[str], repeated: bool, prefix_after: int | None = None) -> Names:  # noqa: FBT001
    """Cut the paths of one group into columns.

    Args:
        paths: files of one depth and extension.
        repeated: each name begins with that of its folder.
        prefix_after: the name is one column and this number of pieces.
    """
    paths = sorted(paths)
    folders = [path.split("/")[:-1] for path in paths]
    depth = len(folders[0])
    columns: list[Column] = []
    stems = [_stem(path, hide=False) for path in paths]
    cut = stems
    if repeated:
        cut = [stem[len(parts[-1]) :] for stem, parts in zip(stems, folders, strict=True)]
    pieces, separators = _cut(cut, prefix_after)
    named = [Column([row[place] for row in pieces]) for place in range(len(pieces[0]))]
    for column, before in zip(named, separators, strict=False):
        column.before = before
    of_name = [part for column in named for part in _apart(column)]
    for level in range(depth):
        texts = [parts[level] for parts in folders]
        last = level == depth - 1
        columns += _folder_columns(texts, of_name, whole=repeated and last)
        columns[-1].folder = True
    if repeated:
        columns.append(Column([parts[-1] for parts in folders], before="/", same_as=columns[-1]))
    elif of_name and depth:
        of_name[0].before = "/" + of_name[0].before
    columns += of_name
    end = separators[len(named)] if len(separators) > len(named) else ""
    endings = Counter(extension(path) for path in paths)
    found = endings.most_common(1)[0][0]
    if len({text.lower() for text in endings}) > 1:  # .tif and .tiff
        found = found[: found.lower().rfind(".") + 4] + "*"
    _mark_repeated(columns)
    return Names(paths, columns, end + found)


def _cut(stems: list[str], prefix_after: int | None) -> tuple[list[list[str]], list[str]]:
    """The pieces of each name, and the separators of the first: before each piece, and at the end."""
    pieces = [_PIECE.findall(stem) for stem in stems]
    separators = list(_shape(stems[0]))
    if prefix_after is not None:
        cut = []
        for stem, each in zip(stems, pieces, strict=True):
            rest = sum(map(len, each[-prefix_after:])) + sum(
                map(len, separators[len(separators) - 1 - prefix_after :])
            )
            cut.append([stem[: len(stem) - rest], *each[-prefix_after:]])
        return cut, ["", *separators[len(separators) - 1 - prefix_after :]]
    return pieces, separators


def _apart(column: Column) -> list[Column]:
    """The columns of pieces such as T0001F001: one per number, with the letters before it. Otherwise the column."""
    runs = [_RUN.findall(value) for value in column.values if _COMPOUND.fullmatch(value)]
    letters = {tuple(letter for letter, _ in run) for run in runs}
    if len(runs) < len(column.values) or len(letters) != 1:
        if column.numeric and all(_is_row_and_column(value) for value in column.distinct):
            first = Column([value[:3] for value in column.values], before=column.before, letters="row:3d")
            return [first, Column([value[3:] for value in column.values], letters="column:3d")]
        return [column]
    parts = []
    for place, letter in enumerate(next(iter(letters))):
        before = (column.before if place == 0 else "") + letter
        parts.append(Column([run[place][1] for run in runs], before=before, letters=letter))
    return parts


def _is_row_and_column(text: str) -> bool:
    """Whether six digits are a row and a column of three each, as the Operetta's first versions wrote them."""
    return len(text) == 6 and 1 <= int(text[:3]) <= 32 and 1 <= int(text[3:]) <= 48


def _folder_columns(texts: list[str], of_name: Sequence[Column], *, whole: bool) -> list[Column]:
    """The columns of one level of folders: its pieces if names repeat one of them, otherwise the whole text."""
    one = Column(texts, before="/", folder=True)
    shapes = {_shape(text) for text in one.distinct}
    if whole or len(shapes) != 1 or len(next(iter(shapes))) < 3:
        return [one]
    separators = next(iter(shapes))
    pieces = [_PIECE.findall(text) for text in texts]
    parts = [
        Column(
            [row[place] for row in pieces],
            before=("/" if place == 0 else "") + separators[place],
            folder=True,
        )
        for place in range(len(pieces[0]))
    ]
    repeats = any(part.values == column.values for part in parts for column in of_name if not column.constant)
    repeats |= one.constant and sum(part.values == column.values for part in parts for column in of_name) > 1
    return parts if repeats and not separators[-1] else [one]


def _mark_repeated(columns: list[Column]) -> None:
    """Mark columns of the name that have the text of a column of a folder in each file."""
    for place, column in enumerate(columns):
        if column.same_as is None and not column.folder:
            earlier = columns[:place]
            column.same_as = next(
                (
                    other
                    for other in earlier
                    if other.folder and other.values == column.values and not other.constant
                ),
                None,
            )
