"""Model cards: what a network was trained on, its scores, its licence and how to load it, as Markdown."""

from collections.abc import Mapping
from typing import Any

from pcip_assets.records.dataset import Crops
from pcip_assets.records.names import differences_text, settings_text
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import EncoderConfig, TrainingConfig

_SCORES = "## Scores\n"
_SHOWN = ("width", "epochs", "learning_rate", "batch_size", "seed")


def model_card(
    screen: Screen,
    kind: str,
    model: str,
    config: TrainingConfig,
    crops: Crops,
    *,
    overrides: Mapping[str, Any],
    left_out: str,
    metrics: Mapping[str, float],
) -> str:
    """The card of a network that was trained just now; `with_scores` adds scores later.

    Args:
        screen: that it was trained on.
        kind: of network.
        model: the name under which it is registered.
        config: its settings.
        crops: that it was trained on.
        overrides: settings that the spec does not say.
        left_out: images that it did not see; empty if it saw all.
        metrics: of the last epoch.
    """
    simulated = " The images are simulated." if screen.simulated else ""
    shape = f"(n, {len(crops.channels)}, {crops.size_px}, {crops.size_px})"
    settings = {name: getattr(config, name) for name in _SHOWN}
    losses = {name: f"{value:.4g}" for name, value in metrics.items() if name.endswith("loss")}
    lines = [
        f"# {model}: {kind}",
        f"A network that describes single cells of the screen {screen.name} ({screen.organism}), made by pcip.",
        "## Trained on",
        f"- {crops}.{simulated}",
        f"- Crops: {shape} uint8, channels in this order: {', '.join(crops.channels)}. "
        "Each channel of each crop is rescaled to 0 to 255.",
        f"- Hash of the crops: `{crops.digest}`",
        f"- Settings: {settings_text(settings)}",
        *_other_than_the_defaults(kind, config),
        *([f"- Left out: {left_out}"] if left_out else []),
        *_origin(screen, config, overrides),
        f"- Last epoch: {settings_text(losses)}" if losses else "",
        "## Load",
        f"""```python
import mlflow

mlflow.set_tracking_uri("http://127.0.0.1:5000")             # while `pcip ui` runs
encoder = mlflow.pyfunc.load_model("models:/{model}@champion")
features = encoder.predict(crops)                            # layer -> (n, filters) float32
```""",
        f"""Without MLflow, from the folder of this card:

```python
from pathlib import Path

from pcip_core.models.files import load_encoder
from pcip_core.models.inference import extract_features

features = extract_features(load_encoder(Path(".")), crops)  # crops: {shape} uint8
```""",
        "## Licence",
        _licence(screen),
        _SCORES.strip(),
        "Not scored yet.",
    ]
    return "\n\n".join(_joined(lines)) + "\n"


def with_scores(card: str, crops: Crops, scores: Mapping[str, float], note: str) -> str:
    """A card with other scores.

    Args:
        card: of the network.
        crops: that the screen had when it was scored.
        scores: name -> value.
        note: a sentence on them.
    """
    rows = [f"| {name} | {value:.3f} |" for name, value in scores.items()]
    table = "\n".join(["| score | value |", "|---|---|", *rows]) if rows else "No cell can be scored."
    return (
        f"{card.partition(_SCORES)[0]}{_SCORES}\nOn {crops} (hash `{crops.digest}`), balanced accuracy of the "
        f"best layer by k nearest neighbours, and of the untrained network. {note}\n\n{table}\n"
    )


def _other_than_the_defaults(kind: str, config: TrainingConfig) -> list[str]:
    """Further settings of an encoder that are not the defaults; other networks do not use all of them."""
    if not isinstance(config, EncoderConfig) or kind != config.method:
        return []
    named = {*_SHOWN, "start", "leave_out", "precision"}
    differences = config.differences(EncoderConfig())
    others = {name: now for name, (_, now) in differences.items() if name not in named}
    return [f"- Other than the defaults: {settings_text(others)}"] if others else []


def _origin(screen: Screen, config: TrainingConfig, overrides: Mapping[str, Any]) -> list[str]:
    """Where settings come from that a reader of the spec would not expect."""
    lines = []
    if isinstance(config, EncoderConfig) and config.start != "none":
        lines.append(f"- Started from the encoder of simulated cells `{config.start}`, which comes with pcip")
    if overrides:
        before = screen.section("encoder")["encoder"]
        changes = differences_text({name: (before[name], value) for name, value in overrides.items()})
        lines.append(f"- For this training alone, other than the spec says: {changes}")
    return lines


def _licence(screen: Screen) -> str:
    if screen.simulated:
        return "Apache-2.0, as pcip and its simulated images."
    return (
        "The code is under Apache-2.0. The weights were learned from the images of this screen: "
        "whoever may license these decides on the weights."
    )


def _joined(lines: list[str]) -> list[str]:
    """Items of a list one below the other, everything else as paragraphs."""
    joined: list[str] = []
    for line in filter(None, lines):
        if line.startswith("- ") and joined and joined[-1].startswith("- "):
            joined[-1] += f"\n{line}"
        else:
            joined.append(line)
    return joined
