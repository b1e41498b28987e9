"""Cases of file names, folders and links."""

from __future__ import annotations

from benchmarks.cases.case import Case, Result, Trial, judged

_TYPED = "{plate}_{well:well}_s{field:d}_{channel}.tif"


def _count(trial: Trial, fields: int, images: int, spec: str = "spec.yaml", **changes: object) -> bool:
    """Whether all fields are readable, and how many there are."""
    attempt = trial.attempt(spec, {key.replace("__", "."): value for key, value in changes.items()})
    ids = {each.image_id for each in attempt.fields}
    return (len(attempt.planes()), len(attempt.fields), len(ids)) == (fields, fields, images)


def symlink_plate(trial: Trial) -> Result:
    """Right: the fields of both plates, the one behind a link included; or P1 is named as not followed."""
    attempt = trial.attempt()
    named = r"\bP1\b.*(link|not followed)|(link|not followed).*\bP1\b"
    whole = len(attempt.fields) == 8 and len(attempt.part("plate")) == 2 and len(attempt.planes()) == 8
    return judged(attempt, right=whole or attempt.says(named), named=named)


def underscore_plate(trial: Trial) -> Result:
    """Right: plate 2023_Screen_P1 and wells A01, A02; or the odd wells are named, and `{well:well}` gives them."""
    attempt = trial.attempt()
    whole = attempt.part("plate") == ["2023_Screen_P1"] and attempt.part("well") == ["A01", "A02"]
    typed = trial.attempt(changes={"files.pattern": _TYPED})
    right = typed.part("plate") == ["2023_Screen_P1"] and typed.part("well") == ["A01", "A02"]
    named = r"well.*Screen_P1_A0[12]"
    return judged(attempt, right=whole, named=named, remedies={"{well:well} in the pattern": right})


def operetta_old_digits(trial: Trial) -> Result:
    """Right: row 1, columns 1 and 2; or a refusal of touching numbers, whose fixed widths give them."""
    attempt = trial.attempt()
    whole = [int(text) for text in attempt.part("row")] == [1] and attempt.part("col")[:1] != [""]
    whole = whole and [int(text) for text in attempt.part("col")] == [1, 2]
    fixed = trial.attempt(changes={"files.pattern": "{plate}/{row:3d}{col:3d}-{field:d}-{channel}.tif"})
    right = [int(text or 0) for text in fixed.part("row") + fixed.part("col")] == [1, 1, 2]
    named = r"touch|digits"
    return judged(attempt, right=whole, named=named, remedies={"{row:3d}{col:3d} in the pattern": right})


def opera_two_measurements(trial: Trial) -> Result:
    """Right: a refusal that names the plate, and `{folder}` in image_id gives 8 fields of 4 images."""
    attempt = trial.attempt()
    right = _count(trial, 8, 4, files__image_id="{folder}_{well}")
    named = r"both BR00117035\S* and|folder"
    return judged(attempt, right=False, named=named, remedies={"{folder} in image_id": right})


def imagexpress_thumb(trial: Trial) -> Result:
    """Right: 4 whole fields without the thumbnails; the spec with a GUID part reads them, or is told of the part."""
    attempt, guid = trial.attempt(), trial.attempt("spec_guid_part.yaml")
    right = (len(attempt.planes()), len(attempt.fields)) == (4, 4)
    hinted = (len(guid.planes()), len(guid.fields)) == (4, 4) or guid.says(r"\{guid\}")
    pattern = "{date}/{id}/{plate}_{well}_s{field:d}_{channel}{_:hex}.tif"
    remedies = {
        "{_:hex} for {guid}": _count(trial, 4, 2, "spec_guid_part.yaml", files__pattern=pattern),
        "layout imagexpress": _count(trial, 4, 2, files__layout="imagexpress", files__pattern=None),
    }
    return judged(attempt, right=right and hinted, remedies=remedies)


def cv8000_action(trial: Trial) -> Result:
    """Right: 4 whole fields, although the action number differs between channels, and `only: {z: 01}` is z 1."""
    attempt, unquoted = trial.attempt("spec_action_as_part.yaml"), trial.attempt("spec_only_unquoted.yaml")
    whole, right = ((len(each.planes()), len(each.fields)) == (4, 4) for each in (attempt, unquoted))
    named = r"\{action\}"
    layout = {"files__layout": "cv8000", "files__pattern": None, "files__only": {"z": 1}}
    remedies = {"* for the action": _count(trial, 4, 2), "layout cv8000": _count(trial, 4, 2, **layout)}
    return judged(attempt, right=right and (whole or attempt.says(named)), named=named, remedies=remedies)


def incell_platemap(trial: Trial) -> Result:
    """Right: both images have their gene of the platemap, by a well built from two parts or by layout incell."""
    attempt = trial.attempt()
    changes = {"files.layout": "incell", "files.pattern": None, "images.values": None}
    layout = trial.attempt(changes=changes | {"files.image_id": "{plate}_{well}"})
    genes = ["AAC1", "AAH1"]
    return judged(
        attempt,
        right=attempt.values("gene") == genes,
        remedies={"layout incell": layout.values("gene") == genes},
    )


def appledouble(trial: Trial) -> Result:
    """Right: 2 fields; the `._` files of macOS are none."""
    attempt = trial.attempt()
    return judged(attempt, right=(len(attempt.fields), len(attempt.planes())) == (2, 2))


def odd_file_names(trial: Trial) -> Result:
    """Right: 6 readable fields, one of whose names has a line break."""
    attempt = trial.attempt()
    return judged(attempt, right=(len(attempt.fields), len(attempt.planes())) == (6, 6))


SYMLINK = Case("symlink_plate", "8 fields of 2 plates, or P1 is named", symlink_plate, links=("root/P1",))
UNDERSCORE = Case("underscore_plate", "plate 2023_Screen_P1, wells A01 and A02, or a doubt", underscore_plate)
DIGITS = Case("operetta_old_digits", "row 1, columns 1 and 2, or a refusal", operetta_old_digits)
MEASUREMENTS = Case("opera_two_measurements", "a way to tell them apart", opera_two_measurements)
THUMBS = Case(
    "imagexpress_thumb", "4 fields without the thumbnails, by either spec or with a hint", imagexpress_thumb
)
ACTION = Case("cv8000_action", "4 whole fields by either spec, or a hint at the action", cv8000_action)
INCELL = Case("incell_platemap", "both images have their gene of the platemap", incell_platemap)
APPLE = Case("appledouble", "2 fields", appledouble)
ODD = Case("odd_file_names", "6 fields, all readable", odd_file_names)
CASES = [SYMLINK, UNDERSCORE, DIGITS, MEASUREMENTS, THUMBS, ACTION, INCELL, APPLE, ODD]
