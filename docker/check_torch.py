"""Checks during an image build that pip installed the requested build of PyTorch."""

import sys

import torch


def main(wanted: str) -> str | None:
    """Compares the installed build with `wanted`: `cpu`, or a CUDA version as in wheel names, `cu130`.

    Returns:
        The error for `sys.exit`, None if the build fits.
    """
    found = "cpu" if torch.version.cuda is None else f"cu{torch.version.cuda.replace('.', '')}"
    print(f"torch {torch.__version__} for {found}")
    if found == wanted:
        return None
    if wanted == "cpu":
        print("it includes CUDA but needs no GPU; TORCH_INDEX=<index of CPU wheels> makes it small")
        return None
    return f"that is not {wanted}; pass TORCH_INDEX=<index of PyTorch's wheels for {wanted}> to make"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
