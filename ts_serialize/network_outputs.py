"""Last layer of a classifier: logits, or probabilities where the network ends in a softmax."""

import torch

LOGITS, PROBABILITIES = "logits", "probabilities"
# Sums of softmax in bfloat16 are off by up to 0.004.
SUM_TOLERANCE = 1e-2


def kind_of(outputs: torch.Tensor) -> str:
    """PROBABILITIES if every row is at least 0 and adds up to 1, else LOGITS.

    outputs: float (N, classes).
    """
    outputs = outputs.float()
    adds_up = (outputs.sum(dim=1) - 1).abs() <= SUM_TOLERANCE
    return PROBABILITIES if bool((outputs >= 0).all() and adds_up.all()) else LOGITS


def as_probabilities(outputs: torch.Tensor, kind: str) -> torch.Tensor:
    """float32 (N, classes) probabilities of outputs of this kind."""
    return outputs.float() if kind == PROBABILITIES else torch.softmax(outputs.float(), dim=1)
