"""`make bench_peers`: the same model behind us and behind other servers, on this machine.

Each peer is written by its own documentation, with batches and a worker per core:

- TorchServe, configured as ours: `image_classifier`, https://docs.pytorch.org/serve/default_handlers.html
- LitServe: https://lightning.ai/docs/litserve/features/batching, `workers_per_device`, a form
- MLServer: https://mlserver.readthedocs.io/en/stable/user-guide/adaptive-batching.html, `parallel_workers`
- BentoML: https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html, `workers`
- Ray Serve: https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html, `num_replicas`
"""
