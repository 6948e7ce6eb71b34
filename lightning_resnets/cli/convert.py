"""The `convert` command."""

from lightning_resnets.checkpoint.convert import WRITERS, compatibility_warnings, serialize
from lightning_resnets.cli.args import (
    OutputArgumentParser,
    check_output_path,
    load_input,
    output_summary,
)
from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.atomic_write import atomic_write


def main(args: list[str]) -> None:
    """`lightning-resnets convert FILE OUT [--model NAME] [--half] [--overwrite]`; raises ValueError, one sentence."""
    parser = OutputArgumentParser(
        "convert", "Write the weights of FILE with their card, under torchvision's names.", WRITERS
    )
    parser.add_argument("--half", action="store_true", help="store float16: half the size")
    parser.add_argument(
        "--bare",
        action="store_true",
        help="write .pth even where other programs' models of these names answer otherwise",
    )
    options = parser.parse_args(args)
    out = check_output_path(options, WRITERS, "; `lightning-resnets export` writes .onnx and .pt2")
    source = load_input(options)
    warned = compatibility_warnings(source.card, out)
    if warned and not options.bare:
        raise CheckpointError(
            f"{warned[0][:-1]}, so its answers there would be wrong: write .safetensors, or add --bare."
        )
    data = serialize(source.model, source.card, out.suffix.lower(), options.half)
    with atomic_write(out) as part:
        part.write_bytes(data)
    print(output_summary(out, source.model, source.card.arch))
    for note in (*source.notes, *warned):
        print(f"Note: {note}")
