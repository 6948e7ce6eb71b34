"""A litdata-optimized copy of image folders, local or in object storage: how it is made, and read by number.

`python -m lightning_resnets.data.streaming ROOT OUT` makes it. The engine is litdata's (an optional dependency); asked
for a number, it fetches of an object no more than the image's own bytes, so any worker of any process can ask for any
image, and order, sharing out and resuming are the same as with files.
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


CHUNK_SIZE = "64MB"


SPLITS = ("train", "val")


def is_streamed(root: str) -> bool:
    """Whether a root is an address in object storage or a folder of litdata's."""
    return "://" in root or any(
        (Path(root).expanduser() / part / INDEX_FILE).is_file() for part in ("", *SPLITS)
    )


def import_litdata() -> Any:
    """litdata, imported; raises DataError where it is not installed."""
    if not find_spec("litdata"):
        raise DataError(
            "This data set is streamed by litdata, which is not installed: pip install 'lightning-resnets[litdata]'."
        )
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")  # else each process asks a web page
    import litdata

    return litdata


class StreamedImages:
    """Images of an optimized copy, by number; `place` is the folder or address that holds its index.json."""

    def __init__(self, place: str) -> None:
        self.place, self.process = place, os.getpid()
        try:
            self.items = import_litdata().StreamingDataset(place, shuffle=False)
            self.count = len(self.items)
        except DataError:
            raise
        except Exception as error:  # each kind of storage has its own
            reason = " ".join(str(error).split())
            raise DataError(
                f"'{place}' cannot be streamed ({reason}): check the address and your rights."
            ) from error

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> tuple[bytes, int]:
        if (
            self.process != os.getpid()
        ):  # a worker: connections and locks of another process are not its own
            self.items, self.process = (
                import_litdata().StreamingDataset(self.place, shuffle=False),
                os.getpid(),
            )
        item = self.items[index]
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("image"), bytes | memoryview)
            or "class" not in item
        ):
            raise DataError(
                f"{self.name(index)} is not an image and its class: make the copy with "
                "python -m lightning_resnets.data.streaming ROOT OUT."
            )
        return bytes(item["image"]), int(item["class"])

    def name(self, index: int) -> str:
        return f"Image {index} of '{self.place}'"


def to_litdata_item(pair: tuple[str, int]) -> dict[str, Any]:
    """What litdata stores of an image: its file as it is, and its class."""
    path, label = pair
    return {"image": Path(path).read_bytes(), "class": label}


def optimize_dataset(root: Path, out: Path, workers: int = 1) -> int:
    """Write the optimized copy of an ImageFolder layout, `root` or its train and val; returns how many images.

    litdata sets for the whole process how new ones are started: best called in one that does nothing else.
    """
    litdata, total = import_litdata(), 0
    for part in [part for part in SPLITS if (root / part).is_dir()] or [""]:
        found = list_images(root / part)
        places = match_wordnet_folders({name for _, name in found}, class_names())
        pairs = [(str(path.absolute()), places[name]) for path, name in found]
        litdata.optimize(
            to_litdata_item,
            pairs,
            output_dir=str(out / part),
            chunk_bytes=CHUNK_SIZE,
            num_workers=workers,
            reorder_files=False,
            keep_data_ordered=True,
        )
        total += len(pairs)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_resnets.data.streaming", description=__doc__
    )
    parser.add_argument("root", type=Path, help="folders of images, named by WordNet number")
    parser.add_argument(
        "out", type=Path, help="where the copy goes; then as it is to object storage"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    try:
        print(f"{given.out}: {optimize_dataset(given.root, given.out, given.workers):,} images")
    except (OSError, ValueError) as error:
        sys.exit(f"streaming: {error}")


if __name__ == "__main__":
    main()
