"""The few lines of Python that compute the numbers on the screen."""

from gui.graph import Edit, Graph
from gui.state import ImageInput, Request

# Kinds of edits and the interventions that they become, as in `gui.engine.conversion`.
CLASS_NAMES = {
    "drop": "RemoveBlock",
    "hold": "SetInput",
    "scale": "ScaleInput",
    "zero": "ZeroChannels",
}


def to_python(request: Request, diagram: Graph) -> str:
    """Write a script that shows the same numbers.

    Args:
        request: everything the user has chosen, with a model and an image.
        diagram: the folded graph of the model.

    Returns:
        Source code that ends in a newline. An image that is no file (pasted, or one of the
        samples) is read from a name that the reader has to replace.
    """
    # As in the engine: edits of nodes that this model lacks are left out.
    edits = [edit for edit in request.edits if diagram.node(edit.target)]
    node = diagram.node(request.selected)
    hook_points = [node.hook_point] if node and node.hook_point else []
    interventions = [_format_edit(edit, diagram) for edit in edits]
    # Each class is imported once, however many edits use it.
    names = sorted({CLASS_NAMES[edit.kind] for edit in edits})
    lines = ["from lightning_resnets import InteractiveModel"]
    if names:
        lines.append(f"from lightning_resnets.interventions import {', '.join(names)}")
    lines += ["from lightning_resnets.preprocessing import read_image", ""]
    lines += _image_lines(request.image)
    lines += [f"model = InteractiveModel.open({_open_arguments(request)})"]
    lines += _run_lines(hook_points, interventions)
    lines.append("for name, probability in result.topk():")
    lines.append('    print(f"{name:20} {probability:.1%}")')
    for point in hook_points:
        lines.append(f"print(result.outputs[{point!r}].shape)")
    return "\n".join(lines) + "\n"


def _open_arguments(request: Request) -> str:
    arguments = [repr(request.checkpoint)]
    if request.architecture:
        arguments.append(f"model={request.architecture!r}")
    return ", ".join(arguments)


def _image_lines(image: ImageInput | None) -> list[str]:
    if image and image.path:
        return [f"image = read_image({image.path!r})"]
    label = image.label if image else "no image"
    # A label may hold anything, also line breaks, so it is written as a literal.
    return [f"# The app shows {label!r}, which is not a file.", 'image = read_image("image.png")']


def _run_lines(hook_points: list[str], interventions: list[str]) -> list[str]:
    """Write the call, one intervention a line where there are several."""
    if not interventions:
        arguments = ["image", repr(hook_points)] if hook_points else ["image"]
        return [f"result = model.run({', '.join(arguments)})"]
    lines = ["result = model.run(", "    image,", f"    {hook_points!r},", "    ["]
    lines += [f"        {intervention}," for intervention in interventions]
    return [*lines, "    ],", ")"]


def _format_edit(edit: Edit, diagram: Graph) -> str:
    """Write an edit as the call that creates its intervention."""
    name = CLASS_NAMES[edit.kind]
    if edit.kind == "drop":
        return f"{name}({edit.target!r})"
    if edit.kind == "zero":
        node = diagram.node(edit.target)
        return f"{name}({(node.hook_point if node else edit.target)!r}, {list(edit.channels)!r})"
    return f"{name}({edit.target!r}, {edit.operand}, {edit.value!r})"
