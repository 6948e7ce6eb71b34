"""What the commands on a file have in common: FILE, --net, and one sentence for a mistake."""

import argparse
from collections.abc import Sequence
from typing import NoReturn


class Arguments(argparse.ArgumentParser):
    """The arguments of `lightning-resnets NAME [before] FILE ...`; a mistake raises ValueError with one sentence."""

    def __init__(self, name: str, description: str, before: Sequence[str] = ()) -> None:
        super().__init__(
            prog=f"lightning-resnets {name}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for word in before:
            self.add_argument(word, metavar=word.upper())
        self.add_argument("file", metavar="FILE", help="a checkpoint of any kind, or the name of a net that ships")
        self.add_argument(
            "--net",
            metavar="NAME",
            help="which net it is, where you know better: a name of `lightning-resnets models`, torchvision/NAME, "
            "timm/NAME, or module:function of your own (its module is then imported and run)",
        )

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}: `{self.prog} --help` lists what there is.")
