"""Compares the PyTorch that pip chose with the one that was asked for, while the image is built."""

import sys

import torch


def main(wanted: str) -> str | None:
    """wanted: `cpu`, or a CUDA version as PyTorch's wheels are named, `cu130`.

    Returns:
        what is wrong, for `sys.exit`.
    """
    found = "cpu" if torch.version.cuda is None else f"cu{torch.version.cuda.replace('.', '')}"
    print(f"torch {torch.__version__} for {found}")
    if found == wanted:
        return None
    if wanted == "cpu":
        print("it runs without a GPU, too, but brings CUDA; TORCH_INDEX=<index of CPU wheels> makes it small")
        return None
    return f"that is not {wanted}; pass TORCH_INDEX=<index of PyTorch's wheels for {wanted}> to make"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
