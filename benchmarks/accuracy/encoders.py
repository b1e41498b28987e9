"""What does an encoder learn by each of its settings? Scores of its features on real and simulated cells, and its costs.

Each screen is trained on with the settings of its shipped spec and with those of the paper, several times each, and its
features answer the questions of `benchmarks.common.encoder_screens`. Hand-made features and, where its weights are,
VGG16's answer the same questions.

- small (the default): one training per setting and screen;
- `--medium`: the median of three seeds, by which the aims are judged;
- `--long`: also a table of settings, each of which differs from the shipped ones in one thing.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.common.encoder_scores import (
    KNN,
    LOGISTIC,
    PLATE,
    PRIOR,
    RETRIEVAL,
    retrieval_p_value,
    scores_of,
)
from benchmarks.common.encoder_screens import REAL, SIMULATED, Cells, cells_of
from benchmarks.common.harness import Row
from pcip_assets.assets.encoders.inpainting import network_and_task
from pcip_assets.workspace import REPOSITORY
from pcip_core.features.designed.classic import classic_features
from pcip_core.features.intensity import intensity_features
from pcip_core.features.transfer import BEST_LAYER, vgg16_features
from pcip_core.models.inference import extract_features
from pcip_core.models.vgg16 import load_vgg16
from pcip_core.spec.training import EncoderConfig
from pcip_core.training.loop import train
from pcip_core.training.tracker import SilentTracker

DESCRIPTION = "encoders by their settings: scores on simulated and real cells, and processor time of the training"
SECONDS = 900
LONG = True
SIZES = ("small", "medium", "long")
