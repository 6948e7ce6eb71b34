"""CIFAR-10 as a LightningDataModule: the official files, or the bundled sample."""

import numpy as np
import torch

from lightning_resnets.data import cifar10_sample
from lightning_resnets.data.augment import Augmentation, Flip
from lightning_resnets.data.batches import EvalBatchLoader, Normalize, TrainBatchLoader
from lightning_resnets.data.cifar10_files import ImagesAndLabels, find_cifar10, read_cifar10
from lightning_resnets.data.datamodule import (
    MAX_ALPHA,
    SETUP_FIRST,
    NoLoaders,
    ResumableDataModule,
)
from lightning_resnets.data.sampler import SPLIT_SEED, resolve_seed
from lightning_resnets.data.split import stratified_split
from lightning_resnets.errors import DataError
from lightning_resnets.utils.arguments import (
    check_bool,
    check_choice,
    check_int,
    check_number,
    check_path,
)

# Of each channel over the training images, for pixels in 0 to 1.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def split_train_val(
    train_set: ImagesAndLabels, num_val_images: int, seed: int
) -> tuple[ImagesAndLabels, ImagesAndLabels]:
    """Split validation images off the training set, in equal shares of every class.

    Args:
        train_set: all training images and labels.
        num_val_images: number of validation images.
        seed: seed of the choice.

    Returns:
        Training set and validation set, both in the original order.

    Raises:
        DataError: the number is not a multiple of the number of classes, or too large.
    """
    images, labels = train_set
    num_classes = int(labels.max()) + 1
    if num_val_images % num_classes or num_val_images >= len(labels):
        raise DataError(
            f"num_val_images must be a multiple of {num_classes} below {len(labels)}, got "
            f"{num_val_images} (0 for no validation)."
        )
    train, val = stratified_split(labels, num_val_images, seed)
    return (images[train], labels[train]), (images[val], labels[val])


class CIFAR10(ResumableDataModule):
    """CIFAR-10 in memory, or on the GPU, augmented in whole batches.

    Batches are (N, 3, 32, 32) float32, channels last. Only `test` uses the test set.

    Args:
        data_dir: folder that contains `cifar-10-batches-py` or `cifar-10-batches-bin`.
        batch_size: training images per batch and device.
        num_val_images: images split off the training set for validation; 0 for none.
        crop_padding: see `Augmentation`, as for the following up to `cutmix_alpha`.
        horizontal_flip: as `Augmentation.flip`.
        trivial_augment: see `Augmentation`.
        cutout: see `Augmentation`.
        dual_cutout: see `Augmentation`.
        mixup_alpha: as `Augmentation.mixup`.
        cutmix_alpha: as `Augmentation.cutmix`.
        eval_batch_size: images per batch and device in validation, test and prediction.
        seed: seed of order and augmentation, not of the split; None for `seed_everything`.
        download: let torchvision download the files if they are missing.
    """

    name = "cifar10"
    class_names = cifar10_sample.CLASSES
    input_size = (3, 32, 32)
    mean = MEAN
    std = STD

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 128,
        num_val_images: int = 0,
        crop_padding: int = 4,
        horizontal_flip: Flip = True,
        trivial_augment: bool = False,
        cutout: int = 0,
        dual_cutout: bool = False,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        eval_batch_size: int = 1000,
        seed: int | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(batch_size)
        # Lightning writes the arguments into every checkpoint.
        self.save_hyperparameters()
        self.data_dir = check_path("data_dir", data_dir, DataError).expanduser()
        self.download = download
        self.seed = resolve_seed(seed)
        self.eval_batch_size = eval_batch_size
        self.num_val_images = num_val_images
        self.augmentation = Augmentation(
            crop_padding=crop_padding,
            flip=horizontal_flip,
            trivial_augment=trivial_augment,
            cutout=cutout,
            dual_cutout=dual_cutout,
            mixup=mixup_alpha,
            cutmix=cutmix_alpha,
        )
        # None until setup() has read the images.
        self.train_set: ImagesAndLabels | None = None
        self.val_set: ImagesAndLabels | None = None
        self.test_set: ImagesAndLabels | None = None

    def prepare_data(self) -> None:
        """Download the files if that is asked for.

        Raises:
            DataError: the download failed.
        """
        if not self.download or find_cifar10(self.data_dir) is not None:
            return
        # Only a download needs this part of torchvision.
        from torchvision import datasets

        try:
            datasets.CIFAR10(str(self.data_dir), download=True)
        # torchvision raises a RuntimeError for a file with another hash.
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"Cannot download CIFAR-10 ({error}). Put its files into '{self.data_dir}'."
            ) from error

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        """Read the images.

        Returns:
            Training set and test set.

        Raises:
            DataError: the files are missing or not the official ones.
        """
        folder = find_cifar10(self.data_dir)
        if folder is None:
            raise DataError(
                f"There is no CIFAR-10 in '{self.data_dir}'. Give the folder that contains "
                "cifar-10-batches-py or cifar-10-batches-bin with --data.data_dir DIR, or download "
                "it there with --data.download true."
            )
        return read_cifar10(folder)

    def setup(self, stage: str | None = None) -> None:
        """Check the options and read the images once.

        Args:
            stage: "fit", "validate", "test", "predict" or None for all.

        Raises:
            DataError: an option is out of range, or the files cannot be read.
        """
        # Checked at every call: Lightning's batch-size finder changes the batch size.
        self._check_options()
        # A Trainer calls setup() once a stage, but the images are read only once.
        if self.test_set is not None:
            return
        self.train_set, self.test_set = self.read()
        if self.num_val_images:
            self.train_set, self.val_set = split_train_val(
                self.train_set, self.num_val_images, SPLIT_SEED
            )

    def _check_options(self) -> None:
        """Raise DataError for the first option that is out of range."""
        plan = self.augmentation
        check_int("batch_size", self.batch_size, 1, error=DataError)
        check_int("eval_batch_size", self.eval_batch_size, 1, error=DataError)
        check_int("num_val_images", self.num_val_images, error=DataError)
        # A larger square would hide the whole image.
        check_int("cutout", plan.cutout, 0, 2 * self.input_size[1], DataError)
        # Parameters of a Beta distribution: 0 for none, for example 0.2.
        check_number("mixup_alpha", plan.mixup, 0, MAX_ALPHA, DataError)
        check_number("cutmix_alpha", plan.cutmix, 0, MAX_ALPHA, DataError)
        check_choice("horizontal_flip", plan.flip, (True, False, "alternating"), DataError)
        check_bool("trivial_augment", plan.trivial_augment, DataError)
        check_bool("dual_cutout", plan.dual_cutout, DataError)
        check_bool("download", self.download, DataError)
        if plan.dual_cutout and (plan.mixes or not plan.cutout):
            raise DataError(
                "dual_cutout requires a cutout (for example 16) and excludes mixup and cutmix."
            )
        # Reflection reaches at most to the opposite edge.
        check_int("crop_padding", plan.crop_padding, 0, self.input_size[1] - 1, DataError)

    def train_dataloader(self) -> TrainBatchLoader:
        """Return the augmented batches, at the position of a resumed run."""
        if self.train_set is None:
            raise DataError(SETUP_FIRST)
        device, rank, world_size = self._device_and_rank()
        # The whole set lies on the device: 150 MB of bytes, and no copy for each batch.
        images, labels = (tensor.to(device) for tensor in self.train_set)
        self._cut_batch_size(len(labels))
        loader = TrainBatchLoader(
            images,
            labels,
            self.batch_size,
            Normalize(self.mean, self.std, device),
            self.augmentation,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            num_classes=self.num_classes,
        )
        self._start_training(loader)
        return loader

    def val_dataloader(self) -> EvalBatchLoader | NoLoaders:
        """Return the validation images, or no loaders if `fit` has none.

        Raises:
            DataError: no images were split off and validation was requested.
        """
        if not self.num_val_images:
            return self._no_val_loaders(example=5000)
        return self._eval_loader(self.val_set)

    def test_dataloader(self) -> EvalBatchLoader:
        """Return the test images."""
        return self._eval_loader(self.test_set)

    def predict_dataloader(self) -> EvalBatchLoader:
        """Return the test images."""
        return self._eval_loader(self.test_set)

    def _eval_loader(self, dataset: ImagesAndLabels | None) -> EvalBatchLoader:
        """Build a loader of images that are not augmented."""
        if dataset is None:
            raise DataError(SETUP_FIRST)
        device, rank, world_size = self._device_and_rank()
        images, labels = (tensor.to(device) for tensor in dataset)
        normalize = Normalize(self.mean, self.std, device)
        return EvalBatchLoader(images, labels, self.eval_batch_size, normalize, rank, world_size)


class CIFAR10Sample(CIFAR10):
    """The bundled sample: 2,000 training and 1,000 test images; `data_dir` is ignored."""

    name = "cifar10-sample"

    def prepare_data(self) -> None:
        """Do nothing: the sample is part of the package."""

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        """Read the bundled images.

        Returns:
            Training set and test set.
        """
        train = _to_tensors(*cifar10_sample.load_sample("train"))
        test = _to_tensors(*cifar10_sample.load_sample("test"))
        return train, test


def _to_tensors(images: np.ndarray, labels: np.ndarray) -> ImagesAndLabels:
    """Turn images (N, 32, 32, 3) into (N, 3, 32, 32) and labels into a tensor."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.from_numpy(labels)
