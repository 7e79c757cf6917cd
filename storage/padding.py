"""What lies in a part between clips and behind the last one: nothing but padding."""

from __future__ import annotations

from storage.layout import PartLayout
from storage.records import Piece
from storage.scrub import Gap


def behind(layout: PartLayout, piece: Piece, items: int) -> list[Gap]:
    """Entries from a piece's end to where the next one may start; none is empty.

    Args:
        items: of a ragged feature, items of the part up to the piece's end.
    """
    spec, align = layout.spec, layout.align
    stop = piece.row_stop
    if spec.ragged:
        # one slot more than rows: the last offset is the end of the last row's items
        after = -(-(stop + 1) // align) * align
        found = [Gap(layout.offsets, stop + 1, after, items)]
    else:
        after = -(-stop // align) * align
        found = [Gap(layout.values, stop, after)]
    flags = -(-stop // spec.block), after // spec.block
    found += [Gap(layout.valid, *flags), Gap(layout.digest, *flags)]
    return [gap for gap in found if gap.start < gap.stop]


def beyond(layout: PartLayout, rows: dict[str, int]) -> list[Gap]:
    """Entries of each array's last chunk behind its last row; none is empty.

    Args:
        rows: array -> its length.
    """
    ends = [(array, rows[array.name]) for array in layout.arrays]
    found = [Gap(array, last, array.chunks(last) * array.chunk) for array, last in ends]
    return [gap for gap in found if gap.start < gap.stop]
