"""`make bench_gateway`: the gateway's own cost, beside a small proxy's and nginx's."""
