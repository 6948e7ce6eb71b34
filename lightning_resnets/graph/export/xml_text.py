"""Escape text for XML."""

import re
from xml.sax.saxutils import escape

XML_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # XML 1.0, section 2.2


def escape_control_chars(text: str) -> str:
    """Escape characters that XML forbids.

    Args:
        text: any text.

    Returns:
        The text with such characters as `\\x00`, and backslashes doubled where one could be
        mistaken for that.
    """
    # Ordinary names with a backslash stay as they are.
    if not XML_FORBIDDEN.search(text) and "\\x" not in text:
        return text
    return XML_FORBIDDEN.sub(
        lambda found: f"\\x{ord(found.group()):02x}", text.replace("\\", "\\\\")
    )


def escape_xml(text: object) -> str:
    """Escape text for an element or an attribute in double quotes.

    Args:
        text: any value.

    Returns:
        The escaped text.
    """
    return escape(
        escape_control_chars(str(text)), {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    )
