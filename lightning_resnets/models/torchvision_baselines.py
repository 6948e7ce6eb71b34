"""The models that residual models are compared with, as torchvision has them: AlexNet, VGG-16 and -19, Inception-v3.

torchvision is imported when one of them is built, not before. Inception-v3's joins are revealed; the others have none.
Of torchvision's options only harmless ones are passed on: a card must not be able to ask for a download (`weights`).
"""

from torch import nn

from lightning_resnets.models.external import without_inplace


def alexnet(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    from torchvision import models

    return without_inplace(models.alexnet(num_classes=num_classes, dropout=dropout))


def vgg16(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    from torchvision import models

    return without_inplace(models.vgg16(num_classes=num_classes, dropout=dropout))


def vgg19(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    from torchvision import models

    return without_inplace(models.vgg19(num_classes=num_classes, dropout=dropout))


def inception_v3(num_classes: int = 1000, dropout: float = 0.5) -> nn.Module:
    """Without the auxiliary classifier, so that it answers with logits in training too, and started as torch starts.

    torchvision's own start draws until no weight is extreme, which would never end on weights that are not filled.
    """
    from torchvision import models

    from lightning_resnets.graph.insert_merges import insert_merges

    options = {"aux_logits": False, "transform_input": False, "init_weights": False}
    return insert_merges(
        without_inplace(models.inception_v3(num_classes=num_classes, dropout=dropout, **options)),
        (3, 299, 299),
    )
