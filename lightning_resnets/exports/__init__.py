"""A graph in other forms: JSON and back, GraphML, DOT, and a picture as SVG; none needs more than the graph itself."""

from lightning_resnets.exports.document import GraphError as GraphError
from lightning_resnets.exports.document import from_json as from_json
from lightning_resnets.exports.document import to_json as to_json
from lightning_resnets.exports.dot import to_dot as to_dot
from lightning_resnets.exports.graphml import to_graphml as to_graphml
from lightning_resnets.exports.saving import drawable as drawable
from lightning_resnets.exports.saving import save as save
from lightning_resnets.exports.svg import to_svg as to_svg
