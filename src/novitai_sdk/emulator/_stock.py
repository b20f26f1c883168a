"""What the emulated cloud has: clusters, products, templates, credentials.

The default stock is made to hold what real lists hold: names with a place in them, products of one name and one
price, prices that mean "no spot", a product that is sold out and one that only looks available.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

__all__ = [
    "DEFAULT_STOCK",
    "Stock",
    "StockCluster",
    "StockCpuProduct",
    "StockCredential",
    "StockProduct",
    "StockTemplate",
]


@attrs.frozen(kw_only=True)
class StockCluster:
    """A cluster. ``label`` is what host names are made of."""

    id: str
    name: str
    label: str
    network_storage: bool = True
    instance_network: bool = True


@attrs.frozen(kw_only=True)
class StockProduct:
    """A GPU product. Prices are whole numbers of 1/100000 USD per GPU per hour, sizes are GB.

    ``spot_price`` is the text of the wire: ``"0"`` and ``""`` both mean that there is no spot offer, None leaves the
    field out.
    """

    id: str
    name: str
    price: int
    spot_price: str | None = None
    monthly_price: int | None = None
    cpu: int = 16
    memory: int = 62
    disk: int = 500
    min_rootfs: int = 10
    max_rootfs: int = 6144
    max_gpus: int = 8
    free: Mapping[str, int]
    """Free GPUs by cluster id. A cluster that is not here does not have the product."""

    available: bool = True
    """What the list says; a product with nothing free that still says so sells out at the create."""


@attrs.frozen(kw_only=True)
class StockCpuProduct:
    """A machine without GPUs; price in 1/100000 USD per hour, sizes in GB."""

    id: str
    name: str
    cpu: int
    memory: int
    price: int
    rootfs: int = 60
    local_volume: int = 30
    free: Mapping[str, int]


@attrs.frozen(kw_only=True)
class StockTemplate:
    """A template; ``ports`` are pairs of port and protocol."""

    id: str
    name: str
    image: str
    channel: str = "official"
    readme: str = ""
    image_auth: str = ""
    start_command: str = ""
    entrypoint: str = ""
    rootfs: int = 60
    ports: tuple[tuple[int, str], ...] = ()
    envs: Mapping[str, str] = attrs.field(factory=dict[str, str])
    tools: tuple[str, ...] = ()
    volumes: tuple[Mapping[str, Any], ...] = ()
    min_cuda: str = ""
    given_tools: tuple[Mapping[str, Any], ...] = ()
    """Tools in the fields of the wire, as somebody gave them."""

    created_at: float = 1767225600.0
    """Seconds since 1970."""

    owner: str = ""
    """The account it belongs to; everybody sees those that have none."""


@attrs.frozen(kw_only=True)
class StockCredential:
    """A registry credential; images below ``registry`` cannot be pulled without it."""

    id: str
    registry: str
    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Stock:
    """Everything an emulated cloud has to offer."""

    clusters: tuple[StockCluster, ...]
    products: tuple[StockProduct, ...]
    cpu_products: tuple[StockCpuProduct, ...] = ()
    templates: tuple[StockTemplate, ...] = ()
    credentials: tuple[StockCredential, ...] = ()


_CLUSTERS: Final = (
    # Ids cannot be derived from names: whoever lower-cases a region instead of reading the list is found out.
    StockCluster(id="cn-hongkong-1", name="CN-HK-01 (Hong Kong)", label="cn-hk-1"),
    StockCluster(id="us-west-1", name="US-WEST-01", label="us-west-1"),
    StockCluster(
        id="eu-west-1", name="EU-WEST-01 (Ireland)", label="eu-west-1", network_storage=False
    ),
    StockCluster(
        id="as-sgp-2", name="AS-SGP-02 (Singapore)", label="as-sgp-2", instance_network=False
    ),
)

_THREE: Final = {"cn-hongkong-1": 64, "us-west-1": 64, "eu-west-1": 64}

_PRODUCTS: Final = (
    StockProduct(
        id="4090.16c62g", name="RTX 4090 24GB", price=35000, spot_price="18000", monthly_price=21000000,
        free={**_THREE, "as-sgp-2": 32},
    ),
    # The same price twice: a chooser without a rule for ties would choose by luck.
    StockProduct(
        id="4090.16c96g.v2", name="RTX 4090 24GB", price=35000, spot_price="18000", memory=96, free=_THREE
    ),
    StockProduct(
        id="4090.32c128g", name="RTX 4090 24GB", price=41000, spot_price="0", cpu=32, memory=128, free=_THREE
    ),
    StockProduct(
        id="A100-SXM4-40GB.12c120g", name="A100-SXM4-40GB", price=89000, spot_price="45000",
        monthly_price=52000000, cpu=12, memory=120, disk=1000, free=_THREE,
    ),
    StockProduct(
        id="A100-80GB.14c240g", name="A100-SXM4-80GB", price=159000, spot_price="80000", cpu=14, memory=240,
        disk=1000, free={"us-west-1": 16},
    ),
    StockProduct(
        id="3090.8c30g", name="RTX 3090 24GB", price=21000, spot_price="11000", cpu=8, memory=30, max_gpus=4,
        max_rootfs=1000, free={"cn-hongkong-1": 8, "as-sgp-2": 8},
    ),
    StockProduct(
        id="H100-80GB.16c180g", name="H100-SXM5-80GB", price=256000, memory=180, disk=2000,
        free=dict.fromkeys(_THREE, 0), available=False,
    ),
    StockProduct(
        id="L40S-48GB.14c90g", name="L40S 48GB", price=55000, cpu=14, memory=90, free=dict.fromkeys(_THREE, 0)
    ),
)  # fmt: skip

_CREDENTIAL: Final = StockCredential(
    id="5f2d1c0b9a8e7f6d5c4b3a2918070605",
    registry="registry.example.com",
    username="robot",
    password="emulated-registry-password",
)

_TEMPLATES: Final = (
    StockTemplate(
        id="tf-training-template-1", name="TensorFlow Training", image="tensorflow/tensorflow:2.16.1-gpu-jupyter",
        readme="# TensorFlow\nJupyter on 8888, SSH on 22.", ports=((8888, "http"), (22, "tcp")),
        envs={"JUPYTER_ENABLE_LAB": "yes"}, min_cuda="12.0",
    ),
    StockTemplate(
        id="107672", name="PyTorch 2.4", image="pytorch/pytorch:2.4.0-cuda12.4-cudnn9-runtime",
        readme="# PyTorch", min_cuda="12.4",
    ),
    StockTemplate(
        id="107801", name="vLLM OpenAI server", image="vllm/vllm-openai:v0.6.3", ports=((8000, "http"),),
        start_command="--host 0.0.0.0 --port 8000", tools=("Jupyter",), rootfs=100,
        envs={"HF_HOME": "/workspace/hf"},
    ),
    StockTemplate(
        id="108001", name="Private trainer", image="registry.example.com/team/trainer:1", channel="private",
        image_auth=_CREDENTIAL.id, ports=((8080, "http"),), envs={"TRAINER_TOKEN": "emulated-token"},
    ),
)  # fmt: skip

DEFAULT_STOCK: Final = Stock(
    clusters=_CLUSTERS,
    products=_PRODUCTS,
    cpu_products=(
        StockCpuProduct(
            id="cpu.8c16g",
            name="CPU 8 vCPU 16GB",
            cpu=8,
            memory=16,
            price=9000,
            free=dict.fromkeys(_THREE, 16),
        ),
    ),
    templates=_TEMPLATES,
    credentials=(_CREDENTIAL,),
)
"""What an emulator has unless told otherwise."""
