"""Trains the digits' network from scratch and writes its state dict."""

import sys

import torch
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor

from examples.digits.dataset import Digits, digits
from examples.digits.network import DigitNetwork
from examples.digits.settings import DigitsSettings
from torchserve_gateway.settings.command import run

BATCH_SIZE = 32


def train(settings: DigitsSettings) -> None:
    """Fits the network, writes it, and prints its accuracy on the held-out digits."""
    training, held_out = digits()
    network = fit(training, settings)
    path = settings.model.checkpoint.path
    torch.save(network.state_dict(), path)
    right = int((network(inputs(held_out)).argmax(dim=1) == torch.tensor(held_out.targets)).sum())
    print(f"{path}: {right} of {len(held_out.targets)} held-out digits right")


def fit(training: Digits, settings: DigitsSettings) -> DigitNetwork:
    """A trained network in evaluation mode; the same on the same machine, bit for bit."""
    # The network is too small for threads.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)
    network = DigitNetwork()
    pictures, targets = inputs(training), torch.tensor(training.targets)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        epochs=settings.epochs,
        steps_per_epoch=-(-len(targets) // BATCH_SIZE),
    )
    for _ in range(settings.epochs):
        for chosen in torch.split(torch.randperm(len(targets)), BATCH_SIZE):
            loss = functional.cross_entropy(network(pictures[chosen]), targets[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def inputs(found: Digits) -> torch.Tensor:
    """Float32 (N, 1, 28, 28) in 0..1, as the handler makes them."""
    return torch.stack([pil_to_tensor(picture) for picture in found.pictures]).float() / 255


if __name__ == "__main__":
    sys.exit(run("digits", DigitsSettings, train))
