"""The settings of a training. Reading a spec is fast: nothing but the standard library is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pcip_core.spec.bounds import Bounds, Count, Seed, Share


@dataclass(frozen=True)
class TrainingConfig:
    """Training of an encoder. The defaults are the paper's, or the authors' code's where the paper gives no value.

    Args:
        epochs: passes over the cells; each cell is the source once per epoch (paper: 30).
        batch_size: pairs per step (authors' yeast training: 64).
        learning_rate: learning rate of Adam (paper: 1e-4).
        schedule: `constant`, or `cosine`: the learning rate falls to 0 along a cosine.
        warm_up: share of the epochs in which the learning rate first rises from 0.
        beta1: first-moment decay rate of Adam (authors: 0.5).
        weight_decay: weight decay of AdamW; 0 is Adam, as in the paper.
        width: factor on all filter counts; 1 is the paper's network of 7.32 M parameters.
        seed: seed of all random draws, combined with epoch and cell.
        validation_fraction: share of cells that are predicted but not used for training (paper: 0).
        preview_every: epochs between inpainting previews.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        precision: of the convolutions and matrix products, in training and when the encoder describes cells:
            `float32`; `bf16`; or `auto`: bf16 if the processor multiplies it natively (on a CPU: and a timed step is
            faster), otherwise float32.
        processes: number of processes that share each batch, each with its own GPU if there are GPUs. The weights
            are the same up to floating-point error. Under torchrun, its number of processes is used.
        memory_fraction: share of the free memory (of the GPU if there is one, otherwise of the machine) that the
            crops may use. If they need more, they are streamed from their files. The weights do not depend on it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    epochs: Count = 30
    batch_size: Annotated[int, Bounds(1, 65_536)] = 64
    learning_rate: Annotated[float, Bounds(0, 100, above=True)] = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: Annotated[float, Bounds(0, 1, below=True)] = 0.0
    beta1: Annotated[float, Bounds(0, 1, below=True)] = 0.5
    weight_decay: Share = 0.0
    width: Annotated[float, Bounds(0, 8, above=True)] = 1.0
    seed: Seed = 0
    validation_fraction: Annotated[float, Bounds(0, 1, below=True)] = 0.1
    preview_every: Count = 5
    device: str = "auto"
    precision: str = "auto"
    processes: Annotated[int, Bounds(1, 1024)] = 1
    memory_fraction: Share = 0.6

    def deciding(self) -> Self:
        """These settings with all that do not affect the weights reset to their defaults.

        >>> TrainingConfig(epochs=3, processes=4, device="cpu").deciding() == TrainingConfig(epochs=3)
        True
        """
        default = TrainingConfig()
        names = ("processes", "memory_fraction", "device", "preview_every")
        return replace(self, **{name: getattr(default, name) for name in names})

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate changes, so that all epochs depend on their number.

        >>> TrainingConfig().scheduled, TrainingConfig(warm_up=0.1).scheduled
        (False, True)
        """
        return self.schedule != "constant" or self.warm_up > 0


TASKS = ("inpainting", "agreement", "identity")
Task = Literal["inpainting", "agreement", "identity"]
Weight = Annotated[float, Bounds(0, 1_000)]
START_SHAPE = {"width": 0.25, "block": "norm_first", "stages": 5}
"""The settings of the encoders that a training can start from (`encoder.start`)."""
_FROM_NOTHING: dict[str, Any] = {"start": "none", "epochs": 40, "learning_rate": 1e-3}
START_CHANNELS = {"simulated_human": ("nucleus", "microtubules"), "simulated_yeast": ("cytosol",)}
"""Start -> its structural channels."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the cells in training, in addition to flips; each epoch draws others for each cell.

    Args:
        turns: turn cells by 90 degrees as well.
        scale: enlarge cells about the centre of the crop by a factor from 1 / (1 + scale) to 1 + scale.
        blur: blur cells by a Gaussian with a standard deviation from 0 to this many px.
        intensity: raise the intensities of each channel, from 0 to 1, to a power from 1 / (1 + intensity) to
            1 + intensity.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    turns: bool = False
    scale: Share = 0.0
    blur: Annotated[float, Bounds(0, 20)] = 0.0
    intensity: Annotated[float, Bounds(0, 10)] = 0.0


@dataclass(frozen=True)
class LeaveOut:
    """Images that a training does not see: those of the most variable proteins, for a second round of training.

    Args:
        variable_in: the screen whose table `variability` ranks the proteins: the first round.
        share: share of the ranked proteins that this screen has, the most variable first; at least one.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    variable_in: str
    share: Annotated[float, Bounds(0, 1, above=True, below=True)] = 0.1


@dataclass(frozen=True)
class EncoderConfig(TrainingConfig):
    """Training of the encoder of a screen: what it learns from pairs, and how its network is built.

    Args:
        task: `inpainting` (the paper's), `agreement`, `identity`, or weights of several:
            `{inpainting: 1, agreement: 0.05}`.
        block: `paper` (convolution, ReLU, batch norm) or `norm_first` (convolution, batch norm, ReLU).
        initial_weights: `glorot` (the authors'), `torch`, or a factor on the weights of `torch`.
        stages: number of blocks of the source encoder: 5 (the paper's) for crops of 64 px; 6 for 128 px and 7 for
            256 px at about the same cost, because each further block halves the crop first.
        projector: for `agreement`, the length of the vectors that shall agree.
        pairs: `same_image` (the paper's); `same_protein`: both cells of different images of the same protein, such as
            other wells, antibodies or cell lines; or `mixed`: some of both.
        mixed_share: share of the pairs of different images among `mixed` pairs. A cell that has partners of one kind
            only gets one of these.
        hardest_of: number of partners drawn for each cell, of which the one is taken whose structural channels differ
            most in shape (area, length and width of what is bright); 1 (the paper's) takes any. Held-out cells have
            any partner.
        augment: random changes of both cells of a pair, each by itself; by default they are flipped only.
        start: `none`, or the source encoder that the training starts from, which learned agreement from simulated
            cells: `simulated_human` (channels nucleus, microtubules and protein) or `simulated_yeast` (cytosol and
            protein). It requires `START_SHAPE`. Structural channels of other names start with weights of 0.
        leave_out: images that the training does not see, those of variable proteins; by default none. The encoder
            still describes them.
        epochs: 0 takes the start as it is; nothing is learned from the cells.
    """

    task: Task | dict[Task, Weight] = "inpainting"
    block: Literal["paper", "norm_first"] = "paper"
    initial_weights: Literal["glorot", "torch"] | Annotated[float, Bounds(0, 100, above=True)] = "glorot"
    stages: Literal[5, 6, 7] = 5
    projector: Annotated[int, Bounds(2, 8_192)] = 64
    pairs: Literal["same_image", "same_protein", "mixed"] = "same_image"
    mixed_share: Annotated[float, Bounds(0, 1, above=True, below=True)] = 0.5
    hardest_of: Annotated[int, Bounds(1, 1_000)] = 1
    augment: Augmentation = field(default_factory=Augmentation)
    start: Literal["none", "simulated_human", "simulated_yeast"] = "none"
    leave_out: LeaveOut | None = None
    epochs: Annotated[int, Bounds(0, 1_000_000)] = 30

    def __post_init__(self) -> None:
        def refuse(found: str, required: str) -> None:
            raise ValueError(f"{found}; required: {required}")

        if not self.tasks:
            refuse("no task with a weight above 0", "a task with a weight above 0")
        shape = {key: getattr(self, key) for key in START_SHAPE}
        if self.start != "none" and shape != START_SHAPE:
            refuse(f"start {self.start} with {shape}", f"for a start: {START_SHAPE}")
        if self.epochs == 0 and self.start == "none":
            refuse("epochs 0 without a start", "epochs of at least 1, or a start")
        if self.epochs == 0 and self.leave_out is not None:
            refuse("epochs 0 with leave_out", "epochs of at least 1, or no leave_out")
        if self.epochs == 0 and self.hardest_of > 1:
            refuse(f"epochs 0 with hardest_of {self.hardest_of}", "epochs of at least 1, or hardest_of 1")

    def from_nothing(self) -> Self:
        """These settings for a baseline, which has no start and leaves no image out.

        Without the start, it needs more epochs at a higher learning rate.

        >>> EncoderConfig(start="none", epochs=12).from_nothing().epochs
        12
        >>> EncoderConfig(**START_SHAPE, start="simulated_yeast", epochs=0).from_nothing().epochs
        40
        """
        return replace(self, leave_out=None, **({} if self.start == "none" else _FROM_NOTHING))

    @property
    def tasks(self) -> dict[str, float]:
        """Task -> weight, of the tasks with a weight above 0, in a fixed order.

        >>> EncoderConfig().tasks, EncoderConfig(task={"agreement": 0.05, "inpainting": 1, "identity": 0}).tasks
        ({'inpainting': 1.0}, {'inpainting': 1.0, 'agreement': 0.05})
        """
        weights: Mapping[Any, float] = {self.task: 1.0} if isinstance(self.task, str) else self.task
        return {name: float(weights[name]) for name in TASKS if weights.get(name, 0) > 0}

    def differences(self, trained: EncoderConfig) -> dict[str, tuple[Any, Any]]:
        """Compare with the settings of a training: setting -> its value in the training, and here.

        Settings that do not affect the weights are left out.

        >>> EncoderConfig(width=0.25).differences(EncoderConfig(epochs=2, processes=4))
        {'epochs': (2, 30), 'width': (1.0, 0.25)}
        >>> EncoderConfig(task={"inpainting": 1}).differences(EncoderConfig())
        {}
        """
        before, now = trained._flat(), self._flat()
        return {name: (before[name], now[name]) for name in now if before[name] != now[name]}

    def _flat(self) -> dict[str, Any]:
        """The settings that affect the weights, without nesting; the tasks with their weights."""
        values = asdict(self.deciding()) | {"task": self.tasks}
        changes = values.pop("augment")
        return values | {f"augment.{name}": value for name, value in changes.items()}

    @property
    def as_in_the_paper(self) -> bool:
        """Whether the encoder learns inpainting alone, from the paper's pairs."""
        plain = self.augment == Augmentation() and self.pairs == "same_image" and self.hardest_of == 1
        return plain and list(self.tasks) == ["inpainting"]

    @property
    def across(self) -> float:
        """The probability that the cells of a pair are of different images.

        >>> [EncoderConfig(pairs=pairs).across for pairs in ("same_image", "same_protein", "mixed")]
        [0.0, 1.0, 0.5]
        """
        return {"same_image": 0.0, "same_protein": 1.0, "mixed": self.mixed_share}[self.pairs]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of the source encoder.

        >>> EncoderConfig().layers
        ('conv1', 'conv2', 'conv3', 'conv4', 'conv5')
        """
        return tuple(f"conv{number}" for number in range(1, self.stages + 1))

    @property
    def size_step(self) -> int:
        """The side of a crop in px is a multiple of this, because poolings and strides halve it.

        >>> EncoderConfig().size_step, EncoderConfig(stages=7).size_step
        (4, 16)
        """
        return 4 * 2 ** (self.stages - 5)

    @property
    def layer(self) -> str:
        """The layer that describes localization best.

        Inpainting describes it in the middle (paper, human cells: conv3). The vectors that shall agree are computed
        from the last layer.
        """
        return self.layers[-1 if "agreement" in self.tasks else -3]

    @property
    def method(self) -> str:
        """The method in the names of the feature sets: the names of the tasks.

        >>> EncoderConfig().method, EncoderConfig(task={"agreement": 0.05, "inpainting": 1}).method
        ('inpainting', 'inpainting_agreement')
        """
        return "_".join(self.tasks)
