"""Stream ImageNet from a litdata-optimized copy, local or in object storage.

`python -m lightning_resnets.data.streaming DATA_DIR OUT` makes the copy. litdata is an optional
dependency. It fetches only the bytes of the image that is asked for, so that any worker of any
process can read any image: order, splits over ranks and resuming are the same as with files.
"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning_resnets.data.image_folder import list_images, match_wordnet_folders
from lightning_resnets.data.imagenet_classes import class_names
from lightning_resnets.errors import DataError

INDEX_FILE = "index.json"

# Some 600 images a file: few objects to list, none too large to upload again.
CHUNK_SIZE = "64MB"

SPLITS = ("train", "val")


def is_streamed(data_dir: str) -> bool:
    """Return whether a dataset is an address in object storage or a folder of litdata's.

    Args:
        data_dir: folder or address.

    Returns:
        True for a streamed dataset.
    """
    if "://" in data_dir:
        return True
    # litdata writes an index into each split, or into the root where there are none.
    root = Path(data_dir).expanduser()
    return any((root / part / INDEX_FILE).is_file() for part in ("", *SPLITS))


def import_litdata() -> Any:
    """Import litdata.

    Returns:
        The module.

    Raises:
        DataError: it is not installed.
    """
    if not find_spec("litdata"):
        raise DataError(
            "This dataset is streamed by litdata, which is not installed: "
            "pip install 'lightning-resnets[litdata]'."
        )
    # Otherwise each process asks a web page.
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
    import litdata

    return litdata


class StreamedImages:
    """Images of a litdata-optimized copy, by index.

    Args:
        root: folder or address that contains its index.json.

    Raises:
        DataError: litdata is not installed, or cannot open the copy.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.process = os.getpid()
        try:
            # EpochSampler shuffles, so that a resumed run has the same order.
            self.items = import_litdata().StreamingDataset(root, shuffle=False)
            self.count = len(self.items)
        # The message of import_litdata must not be wrapped in one about the address.
        except DataError:
            raise
        # Each kind of storage has its own exceptions.
        except Exception as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"Cannot stream '{root}' ({reason}). Check the address and your permissions."
            ) from error

    def __len__(self) -> int:
        """Return the number of images."""
        return self.count

    def read(self, index: int) -> tuple[bytes, int]:
        """Read the content of an image file, and its class index.

        Args:
            index: index of the image.

        Returns:
            The bytes and the class index.

        Raises:
            DataError: the item is not an image with a class.
        """
        # A worker process must not use the connections and locks of the process that started it.
        if self.process != os.getpid():
            self.items = import_litdata().StreamingDataset(self.root, shuffle=False)
            self.process = os.getpid()
        item = self.items[index]
        if not _is_labeled_image(item):
            raise DataError(
                f"{self.name(index)} is not an image with its class. Make the copy with "
                "python -m lightning_resnets.data.streaming DATA_DIR OUT."
            )
        return bytes(item["image"]), int(item["class"])

    def name(self, index: int) -> str:
        """Name an image for messages.

        Args:
            index: index of the image.

        Returns:
            Its number and the address.
        """
        return f"Image {index} of '{self.root}'"


def _is_labeled_image(item: object) -> bool:
    """Return whether an item of a copy has the form of `to_litdata_item`."""
    if not isinstance(item, dict):
        return False
    return isinstance(item.get("image"), bytes | memoryview) and "class" in item


def to_litdata_item(pair: tuple[str, int]) -> dict[str, Any]:
    """Build the item that litdata stores of an image.

    Args:
        pair: path and class index.

    Returns:
        The file's unchanged bytes, and the class index.
    """
    path, label = pair
    return {"image": Path(path).read_bytes(), "class": label}


def optimize_dataset(data_dir: Path, out: Path, num_workers: int = 1) -> int:
    """Write the optimized copy of an ImageFolder layout.

    litdata changes for the whole process how new processes are started: call this in one that does
    nothing else.

    Args:
        data_dir: folder of class folders, or the one with `train` and `val`.
        out: folder to write.
        num_workers: number of processes.

    Returns:
        The number of images.

    Raises:
        DataError: litdata is not installed, or there are no images.
    """
    litdata = import_litdata()
    total = 0
    for split in [split for split in SPLITS if (data_dir / split).is_dir()] or [""]:
        pairs = _labeled_paths(data_dir / split)
        litdata.optimize(
            to_litdata_item,
            pairs,
            output_dir=str(out / split),
            chunk_bytes=CHUNK_SIZE,
            num_workers=num_workers,
            # An image must have the same index as in the folders, for equal splits and orders.
            reorder_files=False,
            keep_data_ordered=True,
        )
        total += len(pairs)
    return total


def _labeled_paths(folder: Path) -> list[tuple[str, int]]:
    """List the images in class folders, as pairs of absolute path and class index."""
    files = list_images(folder)
    indices = match_wordnet_folders({name for _, name in files}, class_names())
    return [(str(path.absolute()), indices[name]) for path, name in files]


def main() -> None:
    """Run `python -m lightning_resnets.data.streaming`."""
    parser = argparse.ArgumentParser(
        prog="python -m lightning_resnets.data.streaming", description=__doc__
    )
    parser.add_argument("data_dir", type=Path, help="folders of images, named by WordNet ID")
    parser.add_argument("out", type=Path, help="folder to write; upload it as it is")
    parser.add_argument("--num-workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    try:
        count = optimize_dataset(options.data_dir, options.out, options.num_workers)
    # DataError is a ValueError; a traceback would hide its message.
    except (OSError, ValueError) as error:
        sys.exit(f"streaming: {error}")
    print(f"{options.out}: {count:,} images")


if __name__ == "__main__":
    main()
