"""`make bench`: effect of hostile clients on a well-behaved client.

The gateway runs in a process of its own before a stand-in for TorchServe that answers at once, so the figures
are the gateway's alone. The neighbour sends predictions at a steady rate, during each attack and then alone
for the same time.
"""

import asyncio
import tempfile
from pathlib import Path

from tools.bench.hostile_clients.answers import NoAnswerError
from tools.bench.hostile_clients.arena import ATTACKS, HEADING, IMAGE, Arena, target_of
from tools.bench.hostile_clients.observed_neighbour import neighbour_of
from tools.bench.hostile_clients.stand_in import gateway_before_stand_in


async def measure(arena: Arena) -> None:
    """Prints the table, and memory and descriptors of the gateway before and after."""
    before = arena.gateway.vitals()
    print(HEADING)
    for attack in ATTACKS:
        try:
            print((await arena.bout(attack)).row, flush=True)
        except* NoAnswerError as exc:
            print(f"{attack.name:<36}{exc.exceptions[0]}", flush=True)
    after = arena.gateway.vitals()
    sizes = f"{before.resident_bytes / 1e6:.0f} -> {after.resident_bytes / 1e6:.0f} MB"
    print(f"gateway: {sizes}, {before.open_files} -> {after.open_files} descriptors")


def main() -> None:
    """Measures with a gateway, stand-in and neighbour of its own."""
    with tempfile.TemporaryDirectory() as directory, gateway_before_stand_in(Path(directory)) as (gateway, _):
        target = target_of(gateway)
        with neighbour_of(target, IMAGE) as neighbour:
            asyncio.run(measure(Arena(gateway, target, neighbour)))


if __name__ == "__main__":
    main()
