"""The sections of the report of `pcip check`: each yields its lines and its problems from a `Check`.

Those of the cells of sampled fields are in `cells`.

A problem is a line with the label PROBLEM, or FAILURE if the command must end with exit code 1. A doubt about the
listing of files has the label WARNING; `pcip run` prints it too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pcip_assets.assets.encoders.left_out import images_left_out
from pcip_assets.cli.check.cells import masks, quality, sample
from pcip_assets.cli.check.check import FAILURE, PROBLEM, WARNING, Check, Line
from pcip_core.crops.sample import kinds_of_pixels
from pcip_core.errors import PcipError
from pcip_core.evaluation.labelled import lacks_labels
from pcip_core.images.decoding import decoder_warnings
from pcip_core.images.plate_map import Plate, drawn
from pcip_core.spec.training import START_CHANNELS
from pcip_core.spec.validation import unmade_sets
from pcip_core.store.images import Images
from pcip_core.store.rows import images_table
from pcip_core.words import many, verb

_SHOWN = 5  # files, images or wells named in one line
_MAPS = 3  # plates with a map
_REASONS = 3  # kinds of reasons named in one line
_NOT_PROTEINS = ("plate", "well", "cell_line")  # columns of images that need no protein


def sources(check: Check) -> Iterator[Line]:
    """The root, the layout, the planes of each channel, and what the encoder starts from."""
    screen, fields = check.screen, check.layout.fields
    yield Line("root", screen.root)
    yield Line("layout", screen.files.layout)
    planes = Counter(name for field in fields for name in field.files)
    for name, channel in screen.channels.items():
        yield Line("channel", f"{name} ({channel.role}): {many(planes[name], 'plane')}")
        if planes[name] < len(fields):
            lacking = f"no file for {len(fields) - planes[name]} of {many(len(fields), 'field')}"
            yield Line(PROBLEM, f"channel {name}: {lacking}")
    if (start := screen.encoder.start) != "none":
        new = [name for name in screen.structural if name not in START_CHANNELS[start]]
        missing = [name for name in START_CHANNELS[start] if name not in screen.structural]
        unknown = f"; not among its channels: {', '.join(new)}" if new else ""
        unknown += f"; learned beside {', '.join(missing)}, not in this screen" if missing else ""
        yield Line("encoder", f"starts from that of {start}{unknown}")
    if (drawn := screen.encoder.hardest_of) > 1 and screen.encoder_from is None:
        channels = ", ".join(screen.structural)
        yield Line(
            "encoder",
            f"of {drawn} partners of each cell, takes the one that differs most in shape ({channels})",
        )
    if check.trained is None and screen.encoder_from is not None:
        lender = screen.encoder_from
        yield Line(
            PROBLEM,
            f"encoder_from {lender}: no trained encoder of {lender} is found; first: pcip run {lender}",
        )
    if check.workspace is not None and screen.encoder.leave_out is not None and screen.encoder_from is None:
        images = Images(images_table(check.annotated.records)).frame
        try:
            yield Line("encoder", f"leaves out {images_left_out(check.workspace, screen, images)}")
        except PcipError as error:
            yield Line(FAILURE if check.trained is None else PROBLEM, error)
    if check.trained is not None and (text := check.trained.differs(screen)) is not None:
        yield Line(PROBLEM, text)


def counts(check: Check) -> Iterator[Line]:
    """The numbers of fields, images, shards, proteins and localization terms."""
    fields, annotated = check.layout.fields, check.annotated
    n_images, n_shards = len(annotated.records), len(check.layout.shards())
    yield Line("fields", f"{len(fields)} in {many(n_images, 'image')}, {many(n_shards, 'shard')}")
    proteins = {image.values["protein"] for image in annotated.records}
    yield Line("proteins", len(proteins))
    others = {
        name
        for image in annotated.records
        for name, value in image.values.items()
        if value and name not in (*_NOT_PROTEINS, "protein")
    }
    if others and not check.names_proteins:
        yield Line(
            PROBLEM,
            "no protein is given; each image counts as a protein of its own. Name the column of proteins `protein` "
            f"(there is {_listed(sorted(others))})",
        )
    terms = Counter(term for image in annotated.records for term in image.localization)
    yield Line("terms", ", ".join(f"{term} ({n})" for term, n in terms.most_common()) or "none")


def plates(check: Check) -> Iterator[Line]:
    """The wells of each plate and their fields, and the wells that are missing."""
    if not check.plates:
        return
    n_wells = sum(len(plate.wells) for plate in check.plates)
    n_fields = sum(sum(plate.wells.values()) for plate in check.plates)
    yield Line("plates", f"{len(check.plates)} with {many(n_wells, 'well')} and {many(n_fields, 'field')}")
    missing = check.listing.missing
    alike: dict[tuple[object, ...], list[Plate]] = {}
    for plate in check.plates:
        alike.setdefault((*plate.wells.items(), *missing.get(plate.name, ())), []).append(plate)
    for members in list(alike.values())[:_MAPS]:
        text, *rows = _plate_text(members, missing.get(members[0].name, {}))
        yield Line("plate", text, tuple(rows))
    if rest := sum(map(len, list(alike.values())[_MAPS:])):
        yield Line("plate", f"{rest} more with other wells or numbers of fields")
    yield from (Line(FAILURE, text) for text in check.listing.missing_lines())
    yield from (Line(PROBLEM, text) for text in check.listing.short)


def _plate_text(alike: Sequence[Plate], missing: Mapping[str, str]) -> list[str]:
    """The wells of plates that are alike, in lines: a map with the number of fields of each, or some names of wells."""
    plate, others = alike[0], len(alike) - 1
    more = f" and {others} alike" if others else ""
    sizes = f"{many(len(plate.wells), 'well')}, {many(sum(plate.wells.values()), 'field')}"
    wells = f"{plate.name or '(no name)'}{more}: {sizes}"
    if len(plate.wells) == 1:
        return [f"{wells}: {next(iter(plate.wells))}"]
    if not plate.places:
        return [f"{wells}; not named like A01, so no map: {_listed(list(plate.wells))}"]
    marks = "; . no images" + ("; ? missing" if missing else "")
    return [f"{wells} (fields of each well{marks})", *drawn(plate, missing)]


def example(check: Check) -> Iterator[Line]:
    """What is read from one file of each channel, and of each other size and pixel type of it."""
    fields = check.layout.fields
    kinds = kinds_of_pixels(check.sample)
    n_read = sum(member.problem is None for member in check.sample)
    mixed: dict[str, list[str]] = {}
    for name, channel in check.screen.channels.items():
        of_channel = kinds.get(name, [])
        for pixels, member, n in of_channel:
            size = f"{pixels.height} x {pixels.width} px (height x width), {pixels.dtype}"
            values = f"values {_number(pixels.low)} to {_number(pixels.high)} in {n} of {many(n_read, 'sampled field')}"
            yield Line("example", f"{name}: {member.field.files[name]}", (f"{size}, {values}",))
        if len(of_channel) > 1:
            each = [
                f"{pixels.height} x {pixels.width} px {pixels.dtype} in {n} ({member.field.field_id})"
                for pixels, member, n in of_channel
            ]
            mixed.setdefault(_listed(each), []).append(name)
        named = channel.named or name
        if not of_channel and (field := next((f for f in fields if name in f.files), None)) is not None:
            yield Line("example", f"{name}: {field.files[name]} (named {named}; not read)")
    for text, names in mixed.items():
        remedy = (
            "all are used; if the size of a pixel differs too, so does the scale of the cells (files.exclude)"
        )
        differ = "sizes or pixel types differ between fields"
        yield Line(PROBLEM, f"channel {', '.join(names)}: {differ}: {text}; {remedy}")
    first = next((member.field for member in check.sample if member.problem is None), fields[0])
    parts = ", ".join(f"{part} {text!r}" for part, text in first.parts.items()) or "none"
    ids = f"of field {first.field_id}, image {first.image_id}, shard {first.shard}"
    yield Line("parts", parts, (ids,))


def tables(check: Check) -> Iterator[Line]:
    """What the tables of images and of cells match, and what of it is a problem."""
    from pcip_core.features.designed.cellprofiler_tables import match_objects
    from pcip_core.segmentation.centres import match_centres

    screen, fields, annotated = check.screen, check.layout.fields, check.annotated
    matchings = match_centres(screen, fields), match_objects(screen, fields)
    of_cells = [matching for matching in matchings if matching is not None]
    for matching in [*annotated.matchings, *of_cells]:
        yield Line(matching.role, matching)
    for term, n in annotated.left_out.items():
        yield Line("left out", f"term {term!r} of {many(n, 'image')}, which names no compartment")
    problems = annotated.problems() + [text for matching in of_cells for text in matching.problems()]
    yield from (Line(PROBLEM, text) for text in problems)


def labels(check: Check) -> Iterator[Line]:
    """Protocols of the benchmark that cannot be scored: fewer than two labels are in several images or fields."""
    column = check.screen.benchmark.label
    label_of, n_several = {}, 0
    for image in check.annotated.records:
        values = image.localization if column == "localization" else [image.values.get(column)]
        n_several += len(values) > 1
        if len(values) == 1 and values[0]:
            label_of[image.image_id] = values[0]
    fields = [
        (label_of[field.image_id], field) for field in check.layout.fields if field.image_id in label_of
    ]
    compared = {
        "leave_image_out": _several({(label, field.image_id) for label, field in fields}),
        "leave_field_out": _several({(label, field.image_id, field.number) for label, field in fields}),
    }
    others = f" ({many(n_several, 'image')} with several labels not among them)" if n_several else ""
    for protocol in check.screen.benchmark.protocols if fields else ():
        if protocol in compared and len(compared[protocol]) < 2:
            of_fields = protocol == "leave_image_out" and len(compared["leave_field_out"]) > 1
            reason = lacks_labels(protocol, compared[protocol], of_fields=of_fields)
            yield Line(PROBLEM, f"benchmark of {column}: {reason}{others}")


def _several(groups: Iterable[tuple[str, ...]]) -> list[str]:
    """The labels, in front, of two groups or more."""
    return sorted(label for label, n in Counter(label for label, *_ in groups).items() if n > 1)


def left_out(check: Check) -> Iterator[Line]:
    """Images and files that are left out, doubts about those that are not, and plates that cannot be listed."""
    for reason, n in Counter(reason for _, reason in check.layout.left_out).most_common(_REASONS):
        names = [field.field_id for field, other in check.layout.left_out if other == reason]
        yield Line("left out", f"{many(n, 'field')}: {reason}: {_listed(names)}")
    yield from (Line("left out", text) for text in check.layout.plates_left_out)
    if unclaimed := check.layout.unclaimed:
        belong = f"{many(len(unclaimed), 'file')} {verb(len(unclaimed), 'belong')} to no field"
        yield Line("unclaimed", f"{belong}: {', '.join(unclaimed[:_SHOWN])}")
    excluded = check.layout.excluded
    if excluded:
        yield Line("excluded", f"{len(excluded)} by name: {', '.join(excluded[:_SHOWN])}")
    yield from (Line(WARNING, doubt) for doubt in check.listing.doubts)
    yield from (Line(FAILURE, text) for text in check.listing.unreadable)
    problems = check.layout.problems()
    yield from (Line(FAILURE, problem) for problem in problems[:_SHOWN])
    if len(problems) > _SHOWN:
        yield Line(FAILURE, f"more plates, wells or archives that cannot be listed: {len(problems) - _SHOWN}")


def programs(check: Check) -> Iterator[Line]:
    """The feature sets by programs of the user, and why one cannot be used."""
    for name, features in check.screen.features.items():
        if features.program is None:
            yield Line("features", f"{name}: {' and '.join(features.combine)}")
            continue
        from pcip_core.features.programs import open_program

        checked = "" if features.reference is None else ", gives its reference"
        try:
            open_program(name, features)
            yield Line("features", f"{name}: {Path(features.program).name}{checked}")
        except PcipError as error:
            yield Line(PROBLEM, error)
    yield from (Line(PROBLEM, text) for text in unmade_sets(check.screen))


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")


def refusal(check: Check) -> str | None:
    """Why the screen cannot be run, or None."""
    if check.absent:
        return f"channel {', '.join(check.absent)} has no files at all"
    if not any(each.passing for each in check.sample):
        return "no cell of the sampled fields can be used"
    return None


def decoders(_: Check) -> Iterator[Line]:
    """What the decoders of image files warned of; the pixels are used."""
    yield from (Line(WARNING, text) for text in decoder_warnings())


SECTIONS: tuple[Callable[[Check], Iterator[Line]], ...] = (
    sources,
    counts,
    plates,
    tables,
    labels,
    example,
    left_out,
    programs,
    sample,
    quality,
    masks,
    decoders,
)
"""In the order of the report."""
