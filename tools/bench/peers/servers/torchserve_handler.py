"""TorchServe's own image classifier, with the workload's preprocessing."""

import torch
from ts.torch_handler.image_classifier import ImageClassifier

from tools.bench.peers.servers.classifier import preprocessing, workload


class Handler(ImageClassifier):  # type: ignore[misc]
    """The stock handler; only size and normalisation differ."""

    def __init__(self) -> None:
        super().__init__()
        torch.set_num_threads(1)
        settings = workload()
        self.topk = len(settings["labels"])
        self.image_processing = preprocessing(settings)
