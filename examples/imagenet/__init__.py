"""EfficientNet-Lite0 with its ImageNet weights: any photograph in, its five likeliest classes out."""
