"""Networks on other engines, each a module that TorchServe imports from the archive as its `modelFile`.

TorchServe builds the only class of the module without arguments. Every class maps float32 (N, C, H, W) to
float32 logits (N, classes), for any N, and reads the files beside its module.
"""
