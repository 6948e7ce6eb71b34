"""All colors of the app, light and dark.

They stay apart for color-blind eyes. Blue adds, orange concatenates, magenta gates, and every merge
has its own shape as well: no meaning depends on color alone.
"""

from dataclasses import dataclass

ACCENTS = ("add", "concat", "gate", "cut")


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colors, each "#rrggbb".

    There are grounds, texts, and one accent with a pale tint for each kind of merge.
    """

    name: str
    dark: bool
    window: str  # behind everything
    panel: str  # cards, the canvas of the graph
    surface: str  # buttons, blocks
    hover: str
    hairline: str  # hairlines
    outline: str  # outlines of blocks, lines of the flow
    text: str  # text
    secondary_text: str  # secondary text, at least 4.5:1 on window and panel
    disabled: str  # decoration only
    focus: str  # focus ring and selection
    focus_tint: str
    add: str
    add_tint: str
    concat: str
    concat_tint: str
    gate: str
    gate_tint: str
    cut: str
    cut_tint: str

    def accent(self, kind: str) -> str:
        """Return the accent of a kind of merge, or of cuts.

        Args:
            kind: "add", "concat", "gate" or "cut".

        Returns:
            Its color; that of outlines for any other kind.
        """
        if kind in ACCENTS:
            return getattr(self, kind)
        return self.outline

    def tint(self, kind: str) -> str:
        """Return the pale ground that goes with an accent.

        Args:
            kind: "add", "concat", "gate" or "cut".

        Returns:
            Its color; that of buttons for any other kind.
        """
        if kind in ACCENTS:
            return getattr(self, f"{kind}_tint")
        return self.surface


LIGHT = Theme(
    name="light",
    dark=False,
    window="#F4F2EE",
    panel="#FFFFFF",
    surface="#F7F6F3",
    hover="#ECE9E3",
    hairline="#E1DDD5",
    outline="#6E747E",
    text="#1D2026",
    secondary_text="#5A606A",
    disabled="#A2A7AF",
    focus="#0B7A75",
    focus_tint="#DDF1EF",
    add="#2458C5",
    add_tint="#E3EBFB",
    concat="#B45F00",
    concat_tint="#FBEBD8",
    gate="#A8216B",
    gate_tint="#FAE3EF",
    cut="#B3261E",
    cut_tint="#FBE4E2",
)

DARK = Theme(
    name="dark",
    dark=True,
    window="#131519",
    panel="#1B1E24",
    surface="#252932",
    hover="#2F3440",
    hairline="#30353F",
    outline="#8E97A6",
    text="#ECEEF2",
    secondary_text="#A9B1BD",
    disabled="#656C79",
    focus="#4FD1C5",
    focus_tint="#17393A",
    add="#5C9DFF",
    add_tint="#1C2C48",
    concat="#FFB347",
    concat_tint="#40301A",
    gate="#F25FA5",
    gate_tint="#431F33",
    cut="#FF7B72",
    cut_tint="#45211F",
)
