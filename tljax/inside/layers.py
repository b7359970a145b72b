"""The layers of a network whose output is a map of places, and what they see."""

from tljax.errors import InputError
from tljax.inside.net import Net
from tljax.models.field import Field


def layers_of(net: Net) -> tuple[str, ...]:
    """List the layers of the base whose output is a map `[N, h, w, C]`, from input to output."""
    return tuple(net.sides)


def side(net: Net, layer: str) -> int:
    """Return the rows of a layer's map."""
    return net.sides[check(net, layer)]


def margin(net: Net, layer: str) -> int:
    """Return how many places at each border of a layer's map see padding more than the photograph.

    An eighth of the side, at least one; none of a map of less than 3 x 3 places.
    """
    places = side(net, layer)
    return max(1, places // 8) if places >= 3 else 0


def within(net: Net, layer: str) -> tuple[slice, slice]:
    """Return the rows and columns of a layer's map without the borders."""
    inner = slice(margin(net, layer), side(net, layer) - margin(net, layer))
    return inner, inner


def check(net: Net, layer: str) -> str:
    """Return the layer's name; InputError where the base has no such map."""
    if layer not in layers_of(net):
        raise InputError(f"no layer {layer!r}; the base's layers are {', '.join(layers_of(net))}")
    return layer


def following(net: Net, layer: str) -> str:
    """Return the layer that takes this one's output; "head" after the last."""
    return net.architecture.following(check(net, layer))


def with_parameters(net: Net) -> list[str]:
    """List the layers that have a map and parameters of their own, from input to output."""
    return [cut.name for cut in net.architecture.cuts if cut.modules and cut.name in net.sides]


def last_of_groups(net: Net) -> list[str]:
    """List the last layer with a map and parameters of each group: VGG16's before each pooling."""
    cuts = [cut for cut in net.architecture.cuts if cut.name in with_parameters(net)]
    return list({cut.group: cut.name for cut in cuts}.values())


def receptive_field(net: Net, layer: str) -> Field:
    """Compute the receptive field of a layer's units; the whole photograph where it is unknown."""
    check(net, layer)
    field = net.architecture.field_of_view
    if field is None:
        return Field(net.side, 1, 0)
    return field(layer, {**net.architecture.options, **net.network.options})
