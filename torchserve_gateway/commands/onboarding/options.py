"""Options that `serve` and `new-model` share; imports nothing but typer."""

from typing import Annotated

import typer

WEIGHTS = "TorchScript, .pt2, a state dict, or a URL."

Labels = Annotated[
    str | None,
    typer.Option(help="Class names: a file with a name per line, an index_to_name.json, or `numbers`."),
]
ImageSize = Annotated[
    str | None, typer.Option(help="Input size: 224, or height x width, 192x128; found out if possible.")
]
Architecture = Annotated[
    str | None, typer.Option(help="Python file with the torch.nn.Module class of weights without a network.")
]
Checksum = Annotated[str | None, typer.Option(help="Checksum of the model; needed with a URL.")]
Picture = Annotated[str | None, typer.Option(help="Picture to predict at the end.")]
Force = Annotated[bool, typer.Option("--force", help="Replaces config/model/NAME.yaml.")]
