"""The cells that drive a unit or a direction most and least, and where in them the response comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.encoders.autoencoder import autoencoder_model
from pcip_assets.assets.encoders.supervised import supervised_model
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.tracking import Tracking
from pcip_core.errors import EvaluationError
from pcip_core.features.names import split_name
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.words import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, OCCLUDED = 8, 4  # cells at each end, and those of the highest with occlusion maps
BETWEEN = ".."


@dataclass(frozen=True)
class Network:
    """The network of a feature set.

    Attributes:
        network: it; None where occluded crops cannot be described, for the `reason`.
        layer: its layer of this feature set.
        version: its registered version.
    """

    network: Any
    layer: str = ""
    version: str = ""
    reason: str = ""

    def maps(self, crops: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Occlusion maps of crops along a direction of the layer, (n, C, S, S); (0, C, S, S) without a network."""
        from pcip_core.analysis.occlusion import occlusion_maps

        if self.network is None:
            return np.zeros((0, *crops.shape[1:]), np.float32)

        def respond(occluded: np.ndarray) -> np.ndarray:
            from pcip_core.models.inference import extract_features
            from pcip_core.training.device import choose_device

            features = extract_features(
                self.network,
                occluded,
                layers=(self.layer,),
                device=str(choose_device("auto")),
            )
            return features[self.layer] @ direction

        return np.stack([occlusion_maps(crop, respond)[0] for crop in crops])


def network_of(tracking: Tracking, screen: Screen, feature_set: str) -> Network:
    """The registered network of a feature set.

    Raises:
        EncoderError: its weights are not there, or not those that are registered.
    """
    from pcip_core.models.files import load_encoder

    _, layer, correction = split_name(feature_set)
    model = model_of(screen, feature_set)
    if model is None or layer is None:
        return Network(
            None, reason=f"{feature_set} has no trained network, so that occluded crops have no response"
        )
    if correction:
        return Network(None, reason=f"{feature_set} depends on all cells of a group, not on the crop alone")
    champion = tracking.champion(model)
    return Network(load_encoder(champion.folder), layer, champion.version)


def model_of(screen: Screen, feature_set: str) -> str | None:
    """The name under which the network of a feature set is registered; None for a set without a trained network."""
    models = {
        screen.encoder.method: screen.encoder_screen,
        "autoencoder": autoencoder_model(screen.encoder_screen),
        "supervised": supervised_model(screen.name),
    }
    return models.get(split_name(feature_set).method)


@dataclass(frozen=True)
class Ends:
    """The cells at both ends of a direction.

    Attributes:
        table: one row per cell: end (`highest` or `lowest`), cell_id, value, protein, localization.
        figure: their crops and occlusion maps.
    """

    table: pl.DataFrame
    figure: "Figure"

    def cells(self, end: str) -> list[str]:
        """Ids of the cells at one end."""
        return self.table.filter(end=end)["cell_id"].to_list()


def ends_of(
    store: Store,
    screen: Screen,
    features: StoredFeatures,
    values: np.ndarray,
    network: Network,
    direction: np.ndarray,
    title: str,
) -> Ends:
    """The cells with the highest and the lowest values.

    Args:
        store, screen: where the cells are.
        features: the feature set.
        values: (n,) value of each of its cells.
        network: its network.
        direction: (d,) that gave the values.
        title: title of the figure, after that of the screen.

    Raises:
        EvaluationError: fewer than two cells have a value.
    """
    from pcip_core.analysis.units import ends
    from pcip_core.plots.cells.key import Scale
    from pcip_core.plots.cells.units import unit_figure

    images = Images.of(store, screen.name).rows(features.images)
    if np.isfinite(values).sum() < 2:
        raise EvaluationError(
            f"{screen.name}: {title}",
            found=many(int(np.isfinite(values).sum()), "cell with a value"),
            required="two or more",
            remedy=f"See why cells are not used: SELECT file, reason FROM {screen.name}.quarantine",
        )
    parts, crops = [], []
    for end, rows in zip(("highest", "lowest"), ends(values, SHOWN), strict=True):
        ids = features.cell_id.gather(rows)
        of_cells = images[features.image[rows].astype(np.int64)]
        parts.append(
            pl.DataFrame(
                {
                    "end": [end] * len(ids),
                    "cell_id": ids,
                    "value": values[rows],
                    "protein": of_cells["protein"],
                }
            ).with_columns(of_cells["localization"].list.join(", "))
        )
        crops.append(crops_of(store, screen, ids.to_list()))
    maps = network.maps(crops[0][:OCCLUDED], direction)
    figure = unit_figure(
        crops[0],
        crops[1],
        maps,
        screen.crop_channels,
        screen.protein,
        f"{screen.title}: {title}",
        scale=Scale.of_crop(screen),
    )
    return Ends(pl.concat(parts), figure)


def features_of_set(store: Store, screen: Screen, feature_set: str) -> StoredFeatures:
    """The vectors of a feature set.

    Raises:
        EvaluationError: it does not exist.
    """
    tables = store.tables(screen.name)
    if PREFIX + feature_set not in tables:
        made = sorted(name.removeprefix(PREFIX) for name in tables if name.startswith(PREFIX))
        raise EvaluationError(
            f"{screen.name}: feature set {feature_set}",
            found="no such table",
            required=f"one of {', '.join(made) or 'none yet'}",
            remedy=f"Name another feature set, or: pcip run {screen.name}",
        )
    return StoredFeatures(store, screen.name, PREFIX + feature_set)


def direction_of(store: Store, screen: Screen, features: StoredFeatures, unit: str, where: str) -> np.ndarray:
    """The direction that a text names: a unit (`17`), or two localization terms (`Cytosol..Nucleoli`), (d,).

    Raises:
        EvaluationError: there is no such unit or term.
    """
    from pcip_core.analysis.units import direction_between, unit_direction

    if unit.isdecimal():
        return unit_direction(int(unit), features.shape[1], where)
    terms = [term.strip() for term in unit.split(BETWEEN)]
    group = groups_by_label(store, screen, features, terms) if len(set(terms)) == 2 else None
    if group is None or not {0, 1} <= set(np.unique(group).tolist()):
        known = sorted({name for names in _labels(store, screen).values() for name in names})
        raise EvaluationError(
            where,
            found=repr(unit),
            required=f"the number of a unit, from 0 to {features.shape[1] - 1}, or TERM{BETWEEN}TERM with two of "
            + (", ".join(known) or "no labels (this screen has none)"),
            remedy="Correct it; quote terms with spaces.",
        )
    return direction_between(features, group)


def groups_by_label(
    store: Store, screen: Screen, features: StoredFeatures, names: Sequence[str]
) -> np.ndarray:
    """The place of each cell's only label among the names, (n,); -1 for other cells."""
    labels = _labels(store, screen)
    place = {name: number for number, name in enumerate(names)}
    only = [labels[image][0] if len(labels.get(image, ())) == 1 else "" for image in features.images]
    return np.array([place.get(name, -1) for name in only], np.int64)[features.image]


def _labels(store: Store, screen: Screen) -> dict[str, list[str]]:
    return Images.of(store, screen.name).labels_of(screen.benchmark.label)
