"""The loss of agreement: the vectors of two cells of one image shall agree, and fill their space.

Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
ICLR 2022, with two cells of one image in place of two views of one picture. The weights of its three terms are theirs
(25, 25 and 1) divided by 25, and that of the spread is a mean over both vectors.
"""

from __future__ import annotations

import torch

from pcip_core.training.processes import ALONE, Processes

_COVARIANCE = 1 / 25
_EPSILON = 1e-4


def agreement_loss(pairs: torch.Tensor, processes: Processes = ALONE) -> torch.Tensor:
    """Compute the loss of a batch that all processes share; the same value in each.

    L = MSE(a, b) + 1/2 sum over z in {a, b} of mean_j relu(1 - sqrt(Var z_j + 1e-4))
        + 1/25 sum over z in {a, b} of 1/d sum over i != j of Cov(z)_ij^2

    Args:
        pairs: (B, 2, d) float32, the vectors a and b of the pairs of this process.
        processes: those that share the batch, which has at least two pairs.

    Returns:
        A scalar.

    >>> agreement_loss(torch.zeros(4, 2, 3))  # both vectors collapsed: no spread
    tensor(0.9900)
    """
    rows = processes.sum(pairs.new_tensor(float(len(pairs))))
    d = pairs.shape[2]
    difference = pairs[:, 0] - pairs[:, 1]
    loss = processes.total(difference.square().sum()) / (rows * d)
    for vectors in pairs.unbind(1):
        centred = vectors - processes.total(vectors.sum(0)) / rows
        covariance = processes.total(centred.T @ centred) / (rows - 1)
        variance = covariance.diagonal()
        loss = loss + torch.relu(1 - torch.sqrt(variance + _EPSILON)).mean() / 2
        loss = loss + _COVARIANCE * (covariance.square().sum() - variance.square().sum()) / d
    return loss
