"""Trains the iris network from scratch on scikit-learn's iris data and writes it as TorchScript."""

import sys

import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from torch.nn import functional

from examples.iris.network import IrisNetwork
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.torchscript import without_deprecation

SEED = 0
STEPS = 300
HELD_OUT = 0.3
LEARNING_RATE = 0.01


def train(settings: ProjectSettings) -> None:
    """Fits the network, writes it, and prints its accuracy on the held-out flowers."""
    flowers, held_out, species, held_out_species = _split()
    network = fit(flowers, species)
    path = settings.model.checkpoint.path
    with without_deprecation():
        torch.jit.save(torch.jit.script(network), path)
    right = int((network(held_out).argmax(dim=1) == held_out_species).sum())
    print(f"{path}: {right} of {len(held_out)} held-out flowers right")


def fit(flowers: torch.Tensor, species: torch.Tensor) -> IrisNetwork:
    """A trained network in evaluation mode."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    network = IrisNetwork(flowers.mean(dim=0), flowers.std(dim=0))
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    for _ in range(STEPS):
        loss = functional.cross_entropy(network(flowers), species)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


def _split() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    loaded = load_iris()
    parts = train_test_split(
        loaded.data, loaded.target, test_size=HELD_OUT, random_state=SEED, stratify=loaded.target
    )
    flowers, held_out, species, held_out_species = (torch.tensor(part) for part in parts)
    return flowers.float(), held_out.float(), species, held_out_species


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, train))
