"""ResNet-56 on CIFAR-10 as in the paper, see README.md."""
