"""A box around bright pixels."""

from typing import Any


def box_of(image: Any, threshold: int) -> dict[str, Any] | None:
    rows, columns = (image > threshold).nonzero()
    if not len(rows):
        return None
    x, y = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) - x + 1, int(rows.max()) - y + 1
    return {"class": "plate", "x": x, "y": y, "width": width, "height": height}
