"""Describe files of formats that are not supported, by their first bytes."""

from lightning_resnets.formats.source import SAVE_STATE_DICT_HINT

UNSUPPORTED_FORMATS = {  # by the first bytes of the file
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file (Keras, MATLAB). "
    "Load it in its own program and save its arrays with numpy.savez.",
    b"\x1f\x8b": "is compressed with gzip. Decompress it first.",
    b"BZh": "is compressed with bzip2. Decompress it first.",
    b"\xfd7zXZ": "is compressed with xz. Decompress it first.",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Decompress it first.",
    b"GGUF": "is a GGUF file, which holds a language model. "
    "Open a checkpoint of an image classifier.",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself. "
    "Run `git lfs pull` or download the file.",
    b"\x93NUMPY": "is a single NumPy array. "
    "Save all of the model's arrays in one file with numpy.savez.",
}
TAR = (
    "is a tar archive (a packed folder, or a checkpoint of PyTorch before 0.1.10). Unpack it, or: "
    + SAVE_STATE_DICT_HINT
)
ONNX = "is an ONNX model, which does not keep the weights' names. " + SAVE_STATE_DICT_HINT
NOT_A_CHECKPOINT = (
    "is not a checkpoint. Supported formats: .ckpt of `lightning-resnets fit`, .pth, .pt, "
    ".safetensors, .npz."
)


def describe_unsupported(head: bytes, suffix: str) -> str:
    """Describe a file of a format that is not supported.

    Args:
        head: the first 512 bytes of the file.
        suffix: ending of its name in lower case, with the dot.

    Returns:
        The end of a sentence that starts with the file's name.
    """
    for magic, description in UNSUPPORTED_FORMATS.items():
        if head.startswith(magic):
            return description
    # A byte order mark or blank lines may precede the first tag.
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "is a web page, not a checkpoint. Download the file itself."
    if head[257:262] == b"ustar":
        return TAR
    # ONNX starts with the protobuf fields ir_version (1) and producer_name (2).
    if suffix == ".onnx" or (head[:1] == b"\x08" and head[2:3] == b"\x12"):
        return ONNX
    return NOT_A_CHECKPOINT
