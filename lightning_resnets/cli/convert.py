"""`lightning-resnets convert`: write the weights of a checkpoint in another format."""

from argparse import Namespace

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.convert import WRITERS, compatibility_warnings, serialize
from lightning_resnets.cli.args import (
    CommandParser,
    check_output_path,
    format_output_summary,
    load_input,
)
from lightning_resnets.cli.card_options import add_card_options, assumption_notes
from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.atomic_write import atomic_write


def main(args: list[str]) -> None:
    """Run `lightning-resnets convert CHECKPOINT OUT [options]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or the checkpoint cannot be converted.
    """
    options = build_parser().parse_args(args)
    hint = "; `lightning-resnets export` writes .onnx and .pt2"
    # All of this is checked before the checkpoint is loaded.
    source = resolve_checkpoint(options.checkpoint)
    check_output_path(options.out, WRITERS, options.overwrite, source, hint)
    convert(options)


def convert(options: Namespace) -> None:
    """Load the checkpoint, write it, and print one line about the new file.

    Args:
        options: arguments of `build_parser`, OUT already checked.

    Raises:
        CheckpointError: other libraries would compute other logits from OUT.
    """
    loaded = load_input(options)
    out = options.out
    # .pth has no model card that could say where the model differs from torchvision's.
    warnings = compatibility_warnings(loaded.card, out)
    if warnings and not options.force:
        raise CheckpointError(
            f"{warnings[0].rstrip('.')}, so its logits there would be wrong. "
            "Write .safetensors, or add --force."
        )
    data = serialize(loaded.model, loaded.card, out.suffix.lower(), options.fp16)
    with atomic_write(out) as part:
        part.write_bytes(data)
    print(format_output_summary(out, loaded.model, loaded.card.arch))
    for note in (*loaded.notes, *assumption_notes(loaded.card), *warnings):
        print(f"Note: {note}")


def build_parser() -> CommandParser:
    """Build the parser of `convert`."""
    parser = CommandParser(
        "convert",
        "Write the weights and the model card under torchvision's (SE models: timm's) key names.",
    )
    parser.add_checkpoint()
    parser.add_out(WRITERS)
    add_card_options(parser)
    parser.add_argument("--fp16", action="store_true", help="store float16 (half the file size)")
    parser.add_argument(
        "--force",
        action="store_true",
        help="write .pth even if other libraries would compute different logits from it",
    )
    return parser
