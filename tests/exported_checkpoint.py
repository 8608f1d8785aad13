"""The demo checkpoint as a program of torch.export."""

from pathlib import Path

import torch
from torchvision.models import shufflenet_v2_x0_5

from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import load
from ts_serialize.torchscript import load_torchscript


def export_checkpoint(file: Path) -> Path:
    """Saves it to the file, for batches of any size."""
    model = load("archive", ArchiveSettings).model
    network = shufflenet_v2_x0_5(num_classes=len(model.labels)).eval()
    network.load_state_dict(load_torchscript(model.checkpoint.path).state_dict())
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (torch.zeros(2, 3, 192, 128),), dynamic_shapes=({0: batch},))
    torch.export.save(program, file)
    return file
