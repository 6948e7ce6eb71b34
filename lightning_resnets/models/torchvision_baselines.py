"""AlexNet, VGG-16, VGG-19 and Inception-v3 from torchvision, as baselines of residual models.

torchvision is imported only when one of them is built. Its options are not passed on except for
`dropout`: a model card must not be able to ask for a download (`weights`).
"""

from torch import nn

from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.external import disable_inplace


def alexnet(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    """Build AlexNet as in Krizhevsky 2014, arXiv:1404.5997.

    Args:
        num_classes: width of the last layer.
        dropout: probability in front of the first two linear layers.

    Returns:
        The model; input (N, 3, H, W), output (N, num_classes) logits.
    """
    from torchvision import models

    return disable_inplace(models.alexnet(num_classes=num_classes, dropout=dropout))


def vgg16(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    """Build VGG-16, configuration D of table 1 of arXiv:1409.1556.

    Args:
        num_classes: width of the last layer.
        dropout: probability behind the first two linear layers.

    Returns:
        The model; input (N, 3, H, W), output (N, num_classes) logits.
    """
    from torchvision import models

    return disable_inplace(models.vgg16(num_classes=num_classes, dropout=dropout))


def vgg19(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    """Build VGG-19, configuration E of table 1 of arXiv:1409.1556.

    Args:
        num_classes: width of the last layer.
        dropout: probability behind the first two linear layers.

    Returns:
        The model; input (N, 3, H, W), output (N, num_classes) logits.
    """
    from torchvision import models

    return disable_inplace(models.vgg19(num_classes=num_classes, dropout=dropout))


def inception_v3(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    """Build Inception-v3 (arXiv:1512.00567) with named merges and no auxiliary classifier.

    Args:
        num_classes: width of the last layer.
        dropout: probability in front of the last layer.

    Returns:
        The model with its concatenations as `Concat` modules; input (N, 3, H, W) of at least 75
        pixels a side, output (N, num_classes) logits.
    """
    from torchvision import models

    model = models.inception_v3(
        num_classes=num_classes,
        dropout=dropout,
        aux_logits=False,
        transform_input=False,
        # torchvision's initialization redraws until no weight is extreme. With `skip_init` the
        # weights are not filled and the loop would never end.
        init_weights=False,
    )
    return insert_merges(disable_inplace(model), (3, 299, 299))
