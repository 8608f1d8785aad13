"""`make bench_torchserve`: settings of TorchServe and of its Java, side by side."""
