"""`make bench_load`: images of many sizes through gateway and TorchServe, closed and open loop."""
