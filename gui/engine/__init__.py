"""The worker's side of the app, the only part that imports the library."""

from gui.engine.engine import Engine as Engine
