"""`make train`: trains the demo checkpoint from scratch on generated posters."""

import logging
import sys
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models import shufflenet_v2_x0_5

from examples.genre.checkpoint import save_checkpoint
from examples.genre.dataset import PosterSet, poster_set
from examples.genre.evaluate import evaluate
from examples.genre.settings import TrainSettings
from torchserve_gateway.settings.command import run

logger = logging.getLogger(__name__)


def train(settings: TrainSettings) -> None:
    """Draw the training posters, fit the network, write the checkpoint and evaluate it."""
    start = perf_counter()
    posters = poster_set(
        settings.training, settings.model.labels, settings.model.preprocessing, settings.threads
    )
    logger.info("drew %d posters in %.0f s", len(posters.targets), perf_counter() - start)
    model = fit(posters, settings)
    checksum = save_checkpoint(model, posters.images[:2], settings.model.checkpoint.path)
    logger.info("trained in %.0f s altogether", perf_counter() - start)
    print(f"{settings.model.checkpoint.path} sha256 {checksum}")
    evaluate(settings)


def fit(posters: PosterSet, settings: TrainSettings) -> torch.nn.Module:
    """Train a new network; the same posters, settings and machine give the same weights, bit for bit."""
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)
    model: torch.nn.Module = shufflenet_v2_x0_5(num_classes=len(settings.model.labels))
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches_per_epoch = -(-len(posters.targets) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, epochs=settings.epochs, steps_per_epoch=batches_per_epoch
    )
    model.train()
    for epoch in range(settings.epochs):
        total = 0.0
        for chosen in torch.split(torch.randperm(len(posters.targets)), settings.batch_size):
            logits = model(_mirrored(posters.images[chosen]))
            loss = functional.cross_entropy(
                logits, posters.targets[chosen], label_smoothing=settings.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        logger.info("epoch %d of %d: loss %.3f", epoch + 1, settings.epochs, total / len(posters.targets))
    return model.eval()


def _mirrored(images: Tensor) -> Tensor:
    """Each image of (N, 3, H, W) mirrored left to right with probability one half."""
    mirrored = torch.rand(len(images)) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


if __name__ == "__main__":
    sys.exit(run("train", TrainSettings, train))
