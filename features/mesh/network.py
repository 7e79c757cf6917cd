"""One TFLite network, run on one image at a time by LiteRT, on one thread."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ToolMissing


class Network:
    """A network with one input image and float outputs.

    Images go through one by one: what one gives does not depend on the others.

    Args:
        content: the bytes of the ``.tflite`` file.

    Raises:
        ToolMissing: the package ai-edge-litert isn't installed.
    """

    def __init__(self, content: bytes) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ToolMissing(
                "the face mesh needs the package ai-edge-litert; pip install ai-edge-litert"
            ) from error
        with _without_info():
            self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [o["index"] for o in self._interpreter.get_output_details()]
        #: pixels of the input's side
        self.size = int(self._interpreter.get_input_details()[0]["shape"][1])

    def run(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The outputs, flattened, of one image ``(size, size, 3)``, 0 to 1."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(i).reshape(-1) for i in self._outputs]


@contextmanager
def _without_info() -> Iterator[None]:
    """LiteRT tells standard error of its delegate in each process, and no setting stops it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said:
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
