"""Results of an interactive model: plain arrays, which views may keep and share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResult:
    """Result of one forward pass; arrays are float32 and read-only.

    Attributes:
        input: the image as the model received it, uint8 (H, W, 3).
        logits: (K,); of a feature extractor its features (C,).
        probabilities: (K,); of a feature extractor (0,).
        outputs: (C, H, W) or (K,) for each hook point.
        operands: one array per operand for each merge among the hook points, after interventions.
        seconds: duration of the forward pass.
        class_names: K names.
    """

    input: NDArray[np.uint8]
    logits: Array
    probabilities: Array
    outputs: dict[str, Array]
    operands: dict[str, tuple[Array, ...]]
    # Without preprocessing, which depends on the size of the image.
    seconds: float
    class_names: tuple[str, ...]

    def topk(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the most probable classes.

        Args:
            k: number of classes.

        Returns:
            Names and probabilities, the most probable first.
        """
        # Stable: classes of equal probability keep their order.
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.class_names[i], float(self.probabilities[i])) for i in order]


@dataclass(frozen=True, slots=True, eq=False)
class GradientResult:
    """Gradients of one class's logit; arrays are float32 and read-only.

    Attributes:
        class_index: the class.
        outputs: (C, H, W) or (K,) for each hook point.
        gradients: gradient of the class's logit with respect to each output, of its shape.
    """

    class_index: int
    outputs: dict[str, Array]
    gradients: dict[str, Array]
