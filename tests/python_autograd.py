"""Reverse-mode differentiation in Python, for a device that does not exist: torch's engine needs one of its streams."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge


def run_backward(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor],
    keep_graph: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] = (),
    allow_unreachable: bool = False,
    accumulate_grad: bool = False,
) -> tuple[Tensor | None, ...]:
    """Do what torch's engine does, with torch's own derivative of each operation; arguments and result are the same.

    The graph is always kept.
    """
    roots, leaves = ([get_gradient_edge(tensor) for tensor in tensors] for tensors in (outputs, inputs))
    received: dict[Node, dict[int, Tensor]] = {}
    results: list[Tensor | None] = [None] * len(inputs)

    def add(node: Any, number: int, gradient: Tensor | None) -> None:
        if node is None or gradient is None:
            return
        meta, slots = node._input_metadata[number], received.setdefault(node, {})
        assert gradient.device == meta.device, f"{node.name()}: {gradient.device} instead of {meta.device}"
        gradient = gradient.sum_to_size(meta.shape).to(meta.dtype)
        slots[number] = slots[number] + gradient if number in slots else gradient

    for root, gradient in zip(roots, gradients, strict=True):
        add(root.node, root.output_nr, gradient)
    with torch.set_grad_enabled(create_graph):
        for node in sort_nodes([root.node for root in roots]):
            slots = received.pop(node, {})
            results = [
                slots.get(leaf.output_nr) if leaf.node is node else result
                for leaf, result in zip(leaves, results, strict=True)
            ]
            if slots and (node.next_functions or accumulate_grad):
                derivative: Any = getattr(node, "apply", node)  # `apply` of those that are written in Python
                values = derivative(*(slots.get(k) for k in range(len(node._input_metadata))))
                for (following, number), value in zip(
                    node.next_functions, values if isinstance(values, tuple) else (values,), strict=False
                ):
                    add(following, number, value)
    return tuple(results)


def sort_nodes(roots: Sequence[Node]) -> list[Node]:
    """Sort the nodes of a graph so that each comes before those that it passes gradients to."""
    order: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = [(node, False) for node in roots]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order[node] = None
        elif node not in seen:
            seen.add(node)
            stack += [(node, True), *((child, False) for child, _ in node.next_functions if child is not None)]
    return list(reversed(order))
