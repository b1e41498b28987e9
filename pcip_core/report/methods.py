"""A paragraph on the methods of a screen, ready to paste, with its citations: from the spec and the lineage.

Nothing in it is typed in: a setting that the spec does not have, or a table that is not made, has no sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from pcip_core.features.names import split_name
from pcip_core.report.page import Block, Download, Section, Text
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import EncoderConfig
from pcip_core.words import many

_CITED = re.compile(r"\[@(\w+)\]")
_LIBRARIES = {  # package -> key of its citation
    "torch": "paszke2019",
    "numpy": "harris2020",
    "scipy": "virtanen2020",
    "scikit-learn": "pedregosa2011",
    "scikit-image": "vanderwalt2014",
    "umap-learn": "mcinnes2018",
}
_LINKAGE = {
    "maximum_likelihood": "maximum likelihood of spherical Gaussians, each with its own variance [@banfield1993]",
    "ward": "Ward's criterion [@ward1963]",
    "average": "average distance",
}
_CLASSIFIERS = {
    "knn": "its nearest neighbours by Euclidean distance",
    "logistic": "logistic regression",
    "forest": "a random forest",
    "histogram_forest": "a random forest on histograms of the features",
    "end_to_end": "the output of the supervised network itself",
}
_AMONG = {  # protocol -> how cells are told apart that predict and that are predicted
    "leave_image_out": "among the cells of other images",
    "leave_field_out": "among the cells of other fields",
    "leave_cell_out": "among all other cells",
    "grouped_folds": "in cross-validation with all cells of an image in the same fold",
    "folds": "in cross-validation with folds of cells",
    "held_images": "for cells of the images that the supervised network was not trained on",
}


@dataclass(frozen=True)
class Facts:
    """What is known of the results.

    Attributes:
        n_images, n_cells, n_proteins: of the results; no proteins where no image names one, so that images stand for
            them.
        encoder_version: `<screen>/<number>`, of the provenance of the feature set.
        trained: the settings of that encoder's training; None if they are not known.
        trained_on: number of cells of that training; None if it is not known.
        clusters: solution -> number of clusters.
        mapped: whether there are UMAPs.
        enriched: whether terms were tested.
        occluded: whether single features are shown with occlusion maps.
        compared: methods of the other feature sets that were scored.
        label: the column of images that was predicted; "" if nothing was.
        scored: classifier, protocol and parameter of each balanced accuracy.
        commit: commit or version of pcip that computed the features.
    """

    n_images: int
    n_cells: int
    n_proteins: int
    encoder_version: str = ""
    trained: EncoderConfig | None = None
    trained_on: int | None = None
    clusters: Mapping[str, int] = field(default_factory=dict)
    mapped: bool = False
    enriched: bool = False
    occluded: bool = False
    compared: Sequence[str] = ()
    label: str = ""
    scored: Sequence[tuple[str, str, str]] = ()
    commit: str = ""


@dataclass(frozen=True)
class Methods:
    """The paragraph, its references in the order of their citation, and the same as BibTeX."""

    text: str
    references: Sequence[str]
    bibtex: str


def methods(screen: Screen, facts: Facts, *, versions: Mapping[str, str] | None = None) -> Methods:
    """Write the methods of a screen as one paragraph.

    Args:
        screen: the spec.
        facts: what is known of the results.
        versions: package -> version; None: those that are installed.
    """
    given = installed_versions() if versions is None else versions
    sentences = [
        *_images(screen, facts),
        *_crops(screen),
        *_encoder(screen, facts),
        *_analyses(screen, facts),
        *_scores(facts),
        _software(given, facts),
    ]
    marked = " ".join(sentences)
    keys = list(dict.fromkeys(_CITED.findall(marked)))
    library = _bibliography()
    text = _CITED.sub(lambda match: f"({_short(library[match[1]])})", marked)
    return Methods(
        text, [_reference(library[key]) for key in keys], "\n".join(library[key] for key in keys) + "\n"
    )


def methods_section(found: Methods) -> Section:
    """The section of a page."""
    blocks: list[Block] = [
        Text(
            "From the spec and the lineage of these results, to be checked and shortened before use:",
            note=True,
        ),
        Text(found.text),
        *(Text(reference, note=True) for reference in found.references),
        Download("References as BibTeX", "pcip_references.bib", found.bibtex),
        Download(
            "This paragraph as text", "pcip_methods.txt", "\n\n".join([found.text, *found.references]) + "\n"
        ),
    ]
    return Section("Methods, to paste", blocks)


def _images(screen: Screen, facts: Facts) -> Iterator[str]:
    kind = "Simulated images" if screen.simulated else "Images"
    roles = [f"{', '.join(names)} ({role})" for role, names in
             (("structural", screen.structural), ("protein", screen.protein)) if names]  # fmt: skip
    pixel = f", {screen.pixel_um:g} µm per pixel" if screen.pixel_um is not None else ""
    organism = screen.organism.removesuffix(" (simulated)")
    proteins = f" of {many(facts.n_proteins, 'protein', ',')}" if facts.n_proteins else ""
    yield (
        f"{kind} of {organism} cells with the channels {' and '.join(roles)}{pixel} were analysed: "
        f"{many(facts.n_cells, 'cell', ',')} in {many(facts.n_images, 'image', ',')}{proteins}."
    )
    if screen.illumination.method != "none":
        yield f"Uneven illumination was corrected (method `{screen.illumination.method}` of pcip)."


def _crops(screen: Screen) -> Iterator[str]:
    crops, segmentation = screen.crops, screen.segmentation
    options = ", ".join(f"{name} {value}" for name, value in segmentation.options.items())
    if segmentation.method == "whole":
        yield "The images were of single cells."
    else:
        yield f"Cells were found by the method `{segmentation.method}` of pcip{f' ({options})' if options else ''}."
    window = (
        "the whole image" if crops.window_px is None else f"a window of {crops.window_px} px around each cell"
    )
    edge = ""
    if crops.window_px is not None:
        edge = (
            "; cells whose window reached over the edge of the image were left out"
            if crops.edge == "reject"
            else "; windows were filled over the edge of the image with its least value"
        )
    yield (
        f"Crops ({window}{edge}) were resized to {crops.size_px} x {crops.size_px} px, and each channel of each crop "
        f"was rescaled from its minimum to its maximum; images with fewer than {many(crops.min_cells, 'cell')} were "
        "left out."
    )
    if crops.floor:
        floors = " and ".join(f"{value:g} ({channel})" for channel, value in crops.floor.items())
        yield f"After this, pixels below a threshold were set to 0: {floors} of the range from 0 to 1."
    if crops.area_fraction is not None:
        least, most = crops.area_fraction
        yield f"Cells smaller than {least:g} or larger than {most:g} of the area of the window were left out."


def _encoder(screen: Screen, facts: Facts) -> Iterator[str]:
    name = split_name(screen.feature_set)
    if screen.feature_set.split("_conv")[0] != screen.encoder.method:
        layer = f" (layer {name.layer})" if name.layer else ""
        yield f"Cells were described by the feature set `{screen.feature_set}` of pcip{layer}."
        return
    version = f" (version {facts.encoder_version})" if facts.encoder_version else ""
    config = facts.trained
    if config is None:
        yield f"Cells were described by layer {name.layer} of an encoder{version} that had been trained on pairs."
        return
    tasks = {
        "inpainting": "paired cell inpainting [@lu2019]",
        "agreement": "the agreement of pairs of cells by variance, invariance and covariance of their vectors "
        "[@bardes2022], with the pairs and the network of paired cell inpainting [@lu2019]",
        "identity": "the identity of the image of a cell",
    }
    weights = config.tasks
    learned = " and ".join(
        tasks[task] + (f" (weight {weight:g})" if len(weights) > 1 else "")
        for task, weight in weights.items()
    )
    pairs = {
        "same_image": "pairs of cells of the same image",
        "same_protein": "pairs of cells of different images of the same protein",
        "mixed": f"pairs of cells, {config.mixed_share:.0%} of them of different images of the same protein and the "
        "others of the same image",
    }[config.pairs]
    cells = f" on {many(facts.trained_on, 'cell', ',')}" if facts.trained_on else ""
    of = "" if screen.encoder_screen == screen.name else f" of the screen {screen.encoder_screen}"
    start = (
        f", from the encoder `{config.start}` of simulated cells that comes with pcip"
        if config.start != "none"
        else ""
    )
    if config.epochs == 0:
        yield (
            f"Cells were described by layer {name.layer} of the encoder `{config.start}`{version}, which had learned "
            f"{learned} from simulated cells and comes with pcip: by the spatial maximum of the features of the layer."
        )
        return
    epochs = f"{config.epochs} epoch{'' if config.epochs == 1 else 's'}"
    optimizer = f"AdamW (weight decay {config.weight_decay:g})" if config.weight_decay else "Adam"
    schedule = f" with a {config.schedule} schedule" if config.schedule != "constant" else ""
    schedule += f", raised over the first {config.warm_up:.0%} of the epochs" if config.warm_up else ""
    yield (
        f"An encoder{version} was trained{cells}{of} by {learned}, on {pairs}{start}: {many(config.stages, 'stage')} "
        f"of convolutions, {config.width:g} times the width of the paper's network, {epochs}, "
        f"batches of {config.batch_size}, {optimizer} at a learning rate of {config.learning_rate:g}{schedule}, "
        f"first-moment decay {config.beta1:g}, seed {config.seed}."
    )
    yield from _training_cells(config)
    yield f"A cell was described by the spatial maximum of the features of layer {name.layer}."


def _training_cells(config: EncoderConfig) -> Iterator[str]:
    """Which cells the training saw, and how they were changed; and how the network differs from the paper's."""
    if config.hardest_of > 1:
        yield (
            f"Of {config.hardest_of} partners drawn at random for each cell, the one was taken that differed most in "
            "shape: in the area, length and width of what exceeded the mean in the middle of the structural channels."
        )
    augment = config.augment
    changes = [
        "flipped",
        *(["turned by multiples of 90 degrees"] if augment.turns else []),
        *([f"enlarged by up to {1 + augment.scale:g} times, or shrunk as much"] if augment.scale else []),
        *([f"blurred by a Gaussian of up to {augment.blur:g} px"] if augment.blur else []),
        *(
            [
                f"changed in intensity (to a power from {1 / (1 + augment.intensity):.2g} to {1 + augment.intensity:g})"
            ]
            if augment.intensity
            else []
        ),
    ]
    yield f"Cells were {' and '.join(changes)} at random."
    if config.leave_out is not None:
        yield (
            f"Images of the {config.leave_out.share:.0%} most variable proteins of the screen "
            f"{config.leave_out.variable_in} were left out of the training."
        )
    if config.validation_fraction:
        yield f"A share of {config.validation_fraction:g} of the cells was held out of the training."
    if config.block == "norm_first":
        yield "Each block was a convolution, batch normalization and a rectifier, in this order."
    if config.initial_weights != "glorot" and config.start == "none":
        yield f"Weights began with the initialization `{config.initial_weights}` of pcip."
    if "agreement" in config.tasks:
        yield f"The vectors that had to agree had {config.projector} elements."


def _analyses(screen: Screen, facts: Facts) -> Iterator[str]:
    clusters = screen.analyses.clusters
    whole = {name: n for name, n in facts.clusters.items() if " within " not in name}
    if whole:
        mean = "protein" if facts.n_proteins else "image"
        mean += "" if screen.analyses.pool == "protein" else " and cell line"
        by = " and, for comparison, ".join(_LINKAGE[name] for name in whole)
        yield (
            f"Features were averaged by {mean}, centred and scaled, and clustered from the bottom up by {by}."
        )
        cut = [f"{many(n, 'cluster')} ({name.replace('_', ' ')})" for name, n in whole.items()]
        if clusters.number is not None:
            how = "a number set in advance"
        elif set(whole) <= set(clusters.heights):
            how = "at a height set in advance"
        else:
            how = (
                "the largest number whose mean silhouette was within 0.03 of the highest [@rousseeuw1987]; the "
                "numbers tried were 3 to "
                + (
                    f"twice the square root of the number of {'proteins' if facts.n_proteins else 'images'}, at most 40"
                    if clusters.most is None
                    else str(clusters.most)
                )
            )
        yield f"Trees were cut into {' and '.join(cut)}, {how}."
    if facts.enriched:
        yield (
            "Terms were tested in each cluster by the upper tail of the hypergeometric distribution, with the false "
            "discovery rate over the terms of the cluster [@benjamini1995]."
        )
    if facts.mapped:
        yield "Maps were made by UMAP [@mcinnes2018]."
    if facts.occluded:
        yield "Occlusion maps show where the values of single features come from [@zeiler2014]."


def _scores(facts: Facts) -> Iterator[str]:
    if facts.compared:
        others = ", ".join(f"`{name}`" for name in facts.compared)
        yield f"These features were compared with other feature sets of pcip: {others}."
    if not facts.scored:
        return
    parameters: dict[str, dict[str, list[str]]] = {}
    for classifier, protocol, parameter in facts.scored:
        of_protocol = parameters.setdefault(protocol, {})
        of_protocol.setdefault(classifier, []).append(parameter.replace("=", " = "))
    ways = []
    for protocol, classifiers in parameters.items():
        named = [f"{_CLASSIFIERS[name]} ({', '.join(values)})" for name, values in classifiers.items()]
        ways.append(f"{_AMONG[protocol]} by {', '.join(named)}")
    yield (
        f"The {facts.label} of each cell was predicted from its centred and scaled features: {'; '.join(ways)}. "
        "Scores are balanced accuracies, the means of the recalls of the classes."
    )


def _software(versions: Mapping[str, str], facts: Facts) -> str:
    commit = "" if not facts.commit or facts.commit.startswith("pcip ") else f", commit {facts.commit[:10]}"
    used = [name for name in _LIBRARIES if name in versions and (name != "umap-learn" or facts.mapped)]
    others = ", ".join(f"{name} {versions[name]} [@{_LIBRARIES[name]}]" for name in used)
    return f"All steps were computed by pcip {versions.get('pcip', '')}{commit}, with {others}."


def installed_versions() -> dict[str, str]:
    """Package -> version, of pcip and the main libraries."""
    found = {}
    for name in ("pcip", *_LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _bibliography() -> dict[str, str]:
    """Key -> its entry in BibTeX."""
    text = (files("pcip_core.report") / "citations.bib").read_text(encoding="utf-8")
    entries = re.split(r"(?m)^(?=@)", text)
    return {match[1]: entry for entry in entries if (match := re.match(r"@\w+{(\w+),", entry))}


def _field(entry: str, name: str) -> str:
    """A field of an entry, as plain text."""
    match = re.search(rf"\b{name}\s*=\s*{{((?:[^{{}}]|{{[^{{}}]*}})*)}}", entry)
    text = match[1] if match else ""
    for code, letter in (("{\\'e}", "é"), ("{\\ss}", "ß"), ("--", "–")):
        text = text.replace(code, letter)
    return text.replace("{", "").replace("}", "")


def _authors(entry: str) -> list[str]:
    return [name.partition(",")[0] for name in _field(entry, "author").split(" and ")]


def _short(entry: str) -> str:
    """`Lu et al. 2019`.

    >>> _short(_bibliography()["banfield1993"]), _short(_bibliography()["lu2019"])
    ('Banfield and Raftery 1993', 'Lu et al. 2019')
    """
    names = _authors(entry)
    who = (
        names[0]
        if len(names) == 1
        else " and ".join(names)
        if len(names) == 2 and "others" not in names
        else f"{names[0]} et al."
    )
    return f"{who} {_field(entry, 'year')}"


def _reference(entry: str) -> str:
    """The entry of a list of references."""
    names = ", ".join(_authors(entry)).replace(", others", " et al.")
    journal = _field(entry, "journal") or _field(entry, "booktitle")
    place = " ".join(filter(None, (_field(entry, "volume"), _field(entry, "pages"))))
    doi = _field(entry, "doi")
    return (
        f"{names} ({_field(entry, 'year')}). {_field(entry, 'title')}. {journal}{f' {place}' if place else ''}."
        + (f" doi:{doi}" if doi else "")
    )
