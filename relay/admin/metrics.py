"""/metrics for Prometheus: what `relay.log` counted, summed over all processes of the node."""

from __future__ import annotations

import os
from ipaddress import IPv6Address, ip_address

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from relay.admin.house import House, TheHouse

router = APIRouter()


@router.get("/metrics")
def metrics(request: Request, house: TheHouse) -> Response:
    """Return the numbers to whoever `admin.metrics_for` lets see them."""
    if request.client is None or not _may_see(house, request.client.host):
        raise HTTPException(403)
    return Response(generate_latest(_registry()), media_type=CONTENT_TYPE_LATEST)


def _registry() -> CollectorRegistry:
    """The numbers of all processes, from the files they count in; of this one, if there are no files."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _may_see(house: House, peer: str) -> bool:
    address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # an IPv4 client of a socket that takes both
    return any(address in network for network in house.config.admin.metrics_for)
