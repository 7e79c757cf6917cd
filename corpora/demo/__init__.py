"""Short made clips with labels, to try things on without anybody's recordings.

The face is one real portrait (scikit-image's public-domain photograph of an astronaut), moved,
stretched, lit and warped; the voice is a pulse train through resonators. The "subjects" are
synthetic: they are that one portrait, transformed in different ways.
"""

from corpora.demo.make import TABLE, make_demo

__all__ = ["TABLE", "make_demo"]
