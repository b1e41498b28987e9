"""Sources and targets of different labels (paper, Supplementary Figure 1): what the asset `mismatch` and the check
`follows_its_source` share.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.encoders.networks import HELD_OUT
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.main.features import require_same_crops
from pcip_assets.lineage import code_version
from pcip_assets.provenance import inputs_hash
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.analysis.mismatch import Mismatch, Verdict, compare, network_predictor, predicted, verdict
from pcip_core.analysis.mismatched_pairs import Drawn, draw_pairs
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EACH, SHOWN = 10, 6  # pairs of two labels at most, and pairs in the picture
_SCORES = ("margin", "share_worse_than_matched", "share_resembling_source")


@dataclass(frozen=True)
class SourceSwaps:
    """What the champion of a screen predicts from mismatched sources, beside the same network untrained.

    Attributes:
        figure: a few pairs.
        told: which cells, and how many of what, for metadata.
        rows: of the table `mismatch`.
        networks: `encoder` and `untrained`; none where there was too little to compare.
        verdict: on the encoder; None where there was too little.
    """

    figure: "Figure"
    told: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    networks: dict[str, Mismatch] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def scores(self) -> dict[str, float]:
        """`margin`, `margin_untrained`, ..., and the `p` of the verdict; empty where there was too little."""
        endings = {"encoder": "", "untrained": "_untrained"}
        found = {
            name + endings[network]: one.summary[name]
            for name in _SCORES
            for network, one in self.networks.items()
        }
        return found if self.verdict is None else {**found, "p": self.verdict.p}


def measured(library: Library, tracking: Tracking, screen: Screen) -> SourceSwaps:
    """Compare predictions of pairs of labels, on cells that the champion was never trained on if they suffice.

    They are compared once for an encoder and the same cells, and kept as an artifact of its run. Where there is too
    little to compare, `told` says under `not_judged` what is needed.

    Raises:
        EncoderError: there is no champion, or it is one of other crops.
    """
    from pcip_core.models.files import load_encoder, read_extra
    from pcip_core.models.inference import untrained_network
    from pcip_core.plots.style import no_scores
    from pcip_core.training.device import choose_device

    champion = tracking.champion(screen.encoder_screen)
    trained: Any = load_encoder(champion.folder)
    require_same_crops(trained.config, screen, champion.version)
    cells = labelled_cells_of(library, screen)
    try:
        drawn, about = draw_swaps(library, screen, cells, read_extra(champion.folder).get(HELD_OUT))
    except EvaluationError as error:
        needed = f"{error} Labels are those of column {screen.benchmark.label} of images."
        return SourceSwaps(no_scores(_title(screen)), {"not_judged": needed})
    used = drawn.cells.tolist()
    crops = dict(
        zip(used, crops_of(library.store, screen, [cells.cell_ids[cell] for cell in used]), strict=True)
    )
    device, seed = choose_device("auto"), screen.encoder.seed
    predict = network_predictor(trained.to(device))

    def both() -> dict[str, Mismatch]:
        plain = network_predictor(untrained_network(trained.config, seed).to(device))
        return {
            name: compare(
                one,
                crops,
                drawn,
                cells.labels,
                channels=screen.crop_channels,
                structural=screen.structural,
                protein=screen.protein,
            )
            for name, one in {"encoder": predict, "untrained": plain}.items()
        }

    made_from = inputs_hash(
        code=code_version(measured),
        networks=[champion.tags["weights_sha256"], seed],
        channels=[screen.crop_channels, screen.structural, screen.protein],
        pairs=[[pair.target, pair.sources.tolist(), len(pair.same)] for pair in drawn.pairs],
        labels=cells.labels[used].tolist(),
        left_out=drawn.left_out,
        crops=hashlib.sha256(np.stack([crops[cell] for cell in used]).tobytes()).hexdigest(),
    )
    networks = _once(tracking, champion.run_id, f"mismatch/{screen.name}.json", made_from, both)
    judged = verdict(networks["encoder"], networks["untrained"])
    told = {
        "encoder_version": champion.version,
        "pairs": len(drawn.pairs),
        "target_cells": judged.targets,
        "labels_left_out": drawn.left_out,
        **about,
    }
    figure = _figure(screen, networks["encoder"].pairs, crops, predict)
    versions = {"encoder": champion.version, "untrained": f"untrained, seed {seed}"}
    return SourceSwaps(figure, told, _rows(networks, versions, cells.cell_ids), networks, judged)


def _rows(
    networks: Mapping[str, Mismatch], versions: Mapping[str, str], cell_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of the table `mismatch`: each pair by each network."""
    return [
        {
            **pair,
            "network": name,
            "encoder_version": versions[name],
            "source_cell": cell_ids[pair["source"]],
            "target_cell": cell_ids[pair["target"]],
            "n_references": pair["references"],
        }
        for name, found in networks.items()
        for pair in found.pairs
    ]


def _once(
    tracking: Tracking, run_id: str, name: str, made_from: str, make: Callable[[], dict[str, Mismatch]]
) -> dict[str, Mismatch]:
    """What the check or the asset has compared before, from the encoder's run; else compare, and keep it there."""
    kept = tracking.document(run_id, name)
    if kept is None or kept["made_from"] != made_from:
        kept = {"made_from": made_from, "networks": {network: asdict(one) for network, one in make().items()}}
        tracking.log_document(run_id, name, kept)
    return {network: Mismatch(**one) for network, one in kept["networks"].items()}


def draw_swaps(
    library: Library, screen: Screen, cells: LabelledCells, held: Sequence[str] | None
) -> tuple[Drawn, dict[str, str]]:
    """Pairs, and from which cells: those held out if there are enough; fields stand for images if they must.

    Raises:
        EvaluationError: there are too few cells or labels in any case.
    """
    whole = np.ones(len(cells.labels), bool)
    if screen.encoder_from is not None:
        choices = {f"all, as the encoder was trained on {screen.encoder_from}": whole}
    elif held is None:
        choices = {"all, as this encoder does not tell which were held out: train again": whole}
    else:
        table = library.store.read(screen.name, "cells", columns=["cell_id", "pixel_hash"])
        hash_of = dict(zip(*(table[name].to_list() for name in ("cell_id", "pixel_hash")), strict=True))
        known = set(held)
        out = np.array([hash_of[cell] in known for cell in cells.cell_ids], bool)
        choices = {"held out of the training": out, "all, as too few were held out": whole}
    groups = {"image": lambda: cells.image_ids, "field": lambda: cells.groups("leave_field_out")}
    tries = [(group, which) for group in groups for which in choices]
    for group, which in tries:
        labels = np.where(choices[which], cells.labels, "")
        try:
            drawn = draw_pairs(labels, np.asarray(groups[group]()), each=EACH, seed=screen.analyses.seed)
        except EvaluationError:
            if (group, which) == tries[-1]:
                raise
        else:
            break
    return drawn, {"cells": which, "references_are_of_another": group}


def _title(screen: Screen) -> str:
    return f"{screen.title}: predicted from sources of another {screen.benchmark.label}"


def _figure(screen: Screen, pairs: Sequence[dict[str, Any]], crops: Any, predict: Any) -> "Figure":
    """A few pairs with their correlations."""
    from pcip_core.plots.scores.mismatch import mismatch_pairs

    shown = of_many_labels(pairs, screen.analyses.seed)
    sources, targets = (np.array([pair[end] for pair in shown]) for end in ("source", "target"))
    seen = [screen.crop_channels.index(name) for name in screen.crop_channels if name in screen.structural]
    return mismatch_pairs(
        np.stack([crops[cell] for cell in sources.tolist()]),
        np.stack([crops[cell] for cell in targets.tolist()]),
        predicted(predict, crops, sources, targets, seen),
        _title(screen),
        channels=screen.crop_channels,
        protein=screen.protein,
        labels=[(pair["source_label"], pair["target_label"]) for pair in shown],
        notes=[
            "\n".join(f"r {end} {pair[f'r_{end}']:.2f}" for end in ("source", "target", "truth"))
            for pair in shown
        ],
    )


def of_many_labels(pairs: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """At most `SHOWN` pairs, drawn one after the other among those whose labels have been shown least."""
    shown: list[int] = []
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    for _ in range(min(SHOWN, len(pairs))):
        used = Counter((end, pairs[place][f"{end}_label"]) for place in shown for end in ("source", "target"))
        left = [place for place in order if place not in shown]
        shown.append(
            min(
                left,
                key=lambda place: sum(
                    used[end, pairs[place][f"{end}_label"]] for end in ("source", "target")
                ),
            )
        )
    return [pairs[place] for place in sorted(shown)]
