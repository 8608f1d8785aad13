"""`make bench_gpu`: a network on a GPU, alone and behind gateway and TorchServe."""
