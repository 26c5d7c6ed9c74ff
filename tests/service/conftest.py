from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.node import BASIC, LISTENER, Node

MakeNode = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Makes nodes in folders of their own, and ends whatever is left of them."""
    nodes: list[Node] = []

    def make(text: str = BASIC + LISTENER, *, directory: Path | None = None) -> Node:
        directory = directory or tmp_path / f"node{len(nodes)}"
        directory.mkdir(exist_ok=True)
        node = Node(directory, text)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.clean_up()


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """One node on an embedded database."""
    return make_node()
