"""Nets that skip: ResNet, DenseNet and SE-nets, exact to the parameter, and the means to look inside them."""

from lightning_resnets.graph import BlockGraph as BlockGraph
from lightning_resnets.graph import Skip as Skip
from lightning_resnets.graph import trace as trace
from lightning_resnets.graph.reveal import reveal as reveal
from lightning_resnets.merge import Add as Add
from lightning_resnets.merge import Concat as Concat
from lightning_resnets.merge import Gate as Gate
from lightning_resnets.merge import Kind as Kind
from lightning_resnets.probe import probe as probe
from lightning_resnets.surgery import Bypass as Bypass
from lightning_resnets.surgery import Drop as Drop
from lightning_resnets.surgery import Hold as Hold
from lightning_resnets.surgery import Keep as Keep
from lightning_resnets.surgery import Scale as Scale
from lightning_resnets.surgery import Silence as Silence
from lightning_resnets.surgery import Swap as Swap
from lightning_resnets.surgery import operate as operate
from lightning_resnets.sweep import sweep as sweep
from lightning_resnets.zoo import build as build
from lightning_resnets.zoo import names as names
