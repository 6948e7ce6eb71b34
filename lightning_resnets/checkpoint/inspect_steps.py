"""Format what each step from a file to its model found, for `inspect --verbose`."""

from collections.abc import Iterator

from lightning_resnets.checkpoint.identify.choose import PartReading
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.inspect import InspectionReport
from lightning_resnets.checkpoint.inspect_text import LABEL_WIDTH
from lightning_resnets.errors import sanitize
from lightning_resnets.models.model_names import join_options
from lightning_resnets.utils.format import join_first, plural

# Examples of renamed keys: enough to see the scheme.
MAX_NAMES = 3


def format_steps(report: InspectionReport) -> list[str]:
    """Format the steps as text.

    Args:
        report: the report on a file.

    Returns:
        Lines: the number of the step, then what it found, free of control characters.
    """
    lines = [f"{'1 bytes':<{LABEL_WIDTH}}{_describe_contents(report)}"]
    found = report.identification
    # A card makes steps 2 to 5 needless.
    if found is None:
        lines.append(f"{'6 model':<{LABEL_WIDTH}}the card's {report.card.arch}")
        return [sanitize(line) for line in lines]
    parts = [_describe_part(reading) for reading in report.readings]
    lines += [f"{'2 part':<{LABEL_WIDTH}}{text}" for text in parts]
    for reading in report.readings:
        lines += [f"{'3 names':<{LABEL_WIDTH}}{text}" for text in _describe_names(reading)]
    lines.append(f"{'4 candidate':<{LABEL_WIDTH}}{_describe_match(found)}")
    lines.append(f"{'5 known':<{LABEL_WIDTH}}{found.confidence}: {found.reason}")
    lines += [f"{'5 assumed':<{LABEL_WIDTH}}{text}" for text in _describe_assumed(report)]
    kind = "a feature extractor" if found.num_classes == 0 else "a classifier"
    lines.append(f"{'6 model':<{LABEL_WIDTH}}{kind if found.fits else 'none: weights are missing'}")
    return [sanitize(line.rstrip()) for line in lines]


def _describe_contents(report: InspectionReport) -> str:
    """Describe the tensors and what lies beside them."""
    contents = report.contents
    text = plural(len(contents.state_dict), "tensor")
    if contents.wrapper:
        text += f" under '{contents.wrapper}'"
    if contents.metadata:
        text += f"; values: {join_first(contents.metadata)}"
    if contents.other_models:
        text += f"; other models: {join_first(contents.other_models)}"
    if contents.settings:
        text += f"; settings of {plural(len(contents.settings), 'module')}"
    return text


def _describe_part(reading: PartReading) -> str:
    """Describe one reading of the file."""
    part = reading.original.part
    text = f"'{part.prefix}': {plural(len(part.state_dict), 'weight')}"
    if part.beside:
        text += f", {len(part.beside):,} beside"
    if part.ignored_keys:
        text += f", {len(part.ignored_keys):,} of metrics and losses"
    return text


def _describe_names(reading: PartReading) -> Iterator[str]:
    """Describe the naming scheme of a part and its first renamed keys."""
    named = reading.named
    architecture = named.architecture
    if architecture is None:
        yield f"'{reading.prefix}': not a residual or dense network of ours"
        return
    name = architecture.model_class.__name__
    yield f"'{reading.prefix}': {named.dialect.name}, {name} {architecture.positional_args[-1]}"
    renamed = [f"{key} -> {name}" for name, key in named.origins.items() if key != name]
    if renamed:
        yield join_first(renamed, MAX_NAMES)


def _describe_match(found: Identification) -> str:
    """Describe the chosen model."""
    name = join_options(found.arch, found.model_kwargs)
    others = [
        f"{len(keys):,} {kind}"
        for kind, keys in (
            ("missing", found.missing_keys),
            ("unexpected", found.unexpected_keys),
            ("mismatched", found.mismatched_keys),
        )
        if keys
    ]
    fit = ", ".join(others) or "every weight fits"
    return f"{name} at '{found.prefix}': {fit}"


def _describe_assumed(report: InspectionReport) -> list[str]:
    """List what was assumed."""
    assumed = list(report.identification.assumptions if report.identification else ())
    if report.card.assumed:
        assumed.append(f"card: {join_first(report.card.assumed)}")
    return assumed
