"""Changing what a net computes while it runs (`operation.py`), by operations that are plain data (`edits.py`)."""

from lightning_resnets.surgery.edits import Bypass as Bypass
from lightning_resnets.surgery.edits import Drop as Drop
from lightning_resnets.surgery.edits import Hold as Hold
from lightning_resnets.surgery.edits import Keep as Keep
from lightning_resnets.surgery.edits import Op as Op
from lightning_resnets.surgery.edits import Scale as Scale
from lightning_resnets.surgery.edits import Silence as Silence
from lightning_resnets.surgery.edits import SurgeryError as SurgeryError
from lightning_resnets.surgery.edits import Swap as Swap
from lightning_resnets.surgery.operation import operate as operate
from lightning_resnets.surgery.operation import plan as plan
