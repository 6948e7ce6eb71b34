"""Palette roles and style sheet, which take their colors from a theme."""

from PySide6.QtGui import QPalette

ROLES = QPalette.ColorRole
# Role of the palette and the field of the theme that colors it.
PALETTE_COLORS = (
    (ROLES.Window, "window"),
    (ROLES.Base, "panel"),
    (ROLES.AlternateBase, "surface"),
    (ROLES.Button, "surface"),
    (ROLES.ToolTipBase, "panel"),
    (ROLES.WindowText, "text"),
    (ROLES.Text, "text"),
    (ROLES.ButtonText, "text"),
    (ROLES.ToolTipText, "text"),
    (ROLES.PlaceholderText, "secondary_text"),
    (ROLES.Mid, "hairline"),
    (ROLES.Highlight, "focus"),
    (ROLES.HighlightedText, "panel"),
    (ROLES.Link, "add"),
)
# The fields of a theme are placeholders; braces of the style sheet itself are doubled.
STYLE_SHEET = """
QMainWindow, QWidget#page {{ background: {window}; }}
QWidget {{ color: {text}; }}
QDialog#page {{ background: {panel}; border: 1px solid {disabled}; }}
QFrame#card, QGraphicsView {{ background: {panel}; border: 1px solid {hairline};
    border-radius: {radius}px; }}
QGraphicsView#plot {{ border: 0; border-radius: 0; }}
QFrame#card QWidget {{ background: transparent; }}
QLabel#soft {{ color: {secondary_text}; }}
QLabel#badge, QToolButton#badge {{ color: {concat}; background: {concat_tint};
    border: 1px solid {concat};
    border-radius: 7px; padding: 1px 8px; }}
QFrame#banner {{ background: {cut_tint}; border: 1px solid {cut}; border-radius: {radius}px; }}
QPushButton, QToolButton {{ background: {surface}; border: 1px solid {hairline};
    border-radius: 6px;
    padding: 5px 12px; }}
QToolButton {{ padding: 5px 10px; }}
QPushButton:hover, QToolButton:hover {{ background: {hover}; border-color: {disabled}; }}
QPushButton:pressed, QToolButton:pressed, QPushButton:checked, QToolButton:checked {{
    background: {focus_tint}; border-color: {focus}; }}
QPushButton#model {{ background: {panel}; border-radius: {radius}px; text-align: left; }}
QPushButton#model:hover {{ background: {surface}; border-color: {outline}; }}
QPushButton#model:focus {{ border: 2px solid {focus}; }}
QPushButton#model QLabel {{ background: transparent; }}
QFrame#drop {{ background: transparent; border: 2px dashed {disabled};
    border-radius: {radius}px; }}
QFrame#drop[over="true"] {{ border-color: {focus}; background: {focus_tint}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {disabled}; background: transparent; }}
QPushButton:focus, QToolButton:focus, QLineEdit:focus, QListWidget:focus, QGraphicsView:focus {{
    border: 2px solid {focus}; }}
QPushButton:focus, QToolButton:focus {{ padding: 4px 11px; }}
QToolButton:focus {{ padding: 4px 9px; }}
QPushButton#primary {{ background: {text}; color: {panel}; border-color: {text}; }}
QPushButton#primary:hover {{ background: {secondary_text}; }}
QPushButton#primary:disabled {{ background: transparent; color: {disabled};
    border-color: {hairline}; }}
QToolButton#quiet, QPushButton#quiet {{ background: transparent; border: 1px solid transparent; }}
QToolButton#quiet:hover, QPushButton#quiet:hover {{ background: {hover}; }}
QToolButton#quiet:focus, QPushButton#quiet:focus {{ border: 2px solid {focus}; }}
QLineEdit {{ background: {panel}; border: 1px solid {hairline}; border-radius: 6px;
    padding: 7px 10px;
    selection-background-color: {focus}; }}
QListWidget {{ background: transparent; border: 1px solid transparent; border-radius: 6px;
    outline: 0; }}
QListWidget::item {{ padding: 3px; border-radius: 5px; border: 2px solid transparent; }}
QListWidget::item:hover {{ background: {hover}; }}
QListWidget::item:selected {{ background: {focus_tint}; color: {text}; border-color: {focus}; }}
QMenuBar {{ background: {window}; color: {text}; padding: 2px 6px; }}
QMenuBar::item {{ padding: 4px 9px; border-radius: 5px; background: transparent; }}
QMenuBar::item:selected {{ background: {hover}; }}
QMenu {{ background: {panel}; border: 1px solid {hairline}; padding: 5px; }}
QMenu::item {{ padding: 6px 26px 6px 14px; border-radius: 5px; }}
QMenu::item:selected {{ background: {focus_tint}; color: {text}; }}
QMenu::item:disabled {{ color: {secondary_text}; }}
QMenu::separator {{ height: 1px; background: {hairline}; margin: 5px 8px; }}
QStatusBar {{ background: {window}; color: {secondary_text}; }}
QStatusBar::item {{ border: 0; }}
QSplitter::handle {{ background: transparent; }}
QScrollArea {{ background: transparent; border: 0; }}
QScrollArea > QWidget > QWidget {{ background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: {disabled}; border-radius: 4px; min-height: 24px;
    min-width: 24px;
    margin: 2px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QSlider::groove:horizontal {{ height: 4px; background: {hairline}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {focus}; border-radius: 2px; }}
QSlider::handle:horizontal {{ width: 16px; height: 16px; margin: -7px 0; border-radius: 8px;
    background: {panel}; border: 2px solid {focus}; }}
QSlider:focus {{ border: 1px solid {focus}; border-radius: 6px; }}
QToolTip {{ background: {panel}; color: {text}; border: 1px solid {hairline}; padding: 4px; }}
QProgressBar {{ background: {hairline}; border: 0; border-radius: 2px; max-height: 4px; }}
QProgressBar::chunk {{ background: {focus}; border-radius: 2px; }}
"""
