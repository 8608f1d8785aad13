"""Memory of an image serves the next image."""

import subprocess
import sys

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT

FAULTS = """
import io, resource, sys
from PIL import Image
from ts_serialize.allocator import keep_freed_memory
from ts_serialize.image_input import decode_image
if sys.argv[1] == "kept":
    keep_freed_memory()
content = io.BytesIO()
Image.new("RGB", (1000, 1500), "red").save(content, "WEBP")
for turn in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    decode_image(content.getvalue(), 10**7)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(allocator: str) -> int:
    """Page faults of decoding an image that has been decoded before."""
    command = (sys.executable, "-c", FAULTS, allocator)
    ended = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    return int(ended.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_kept_memory_is_not_asked_for_again() -> None:
    assert page_faults("kept") < page_faults("as it is") / 10
