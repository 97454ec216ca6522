"""Reading and writing in the workspace. What the model gives is what the confined process is asked."""

from typing import Annotated

import msgspec

Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4095, description="a path below the workspace")]


class Read(msgspec.Struct, frozen=True, tag_field="op", tag="read"):
    """What to read."""

    path: Path
    offset: Annotated[int, msgspec.Meta(ge=1, le=1 << 31, description="the first line, from 1")] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="how many lines at the most")] = 2000
