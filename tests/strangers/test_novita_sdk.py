"""Another client of the same API, pointed at the emulator: what ours and the emulator agree on, it checks.

It knows nothing of this library. Where it departs from what the cloud was seen to do (a list read as an object, a
query parameter by another name), the emulator sides with the cloud and the call is left out here.
"""

from collections.abc import Iterator

import pytest

from novitai_sdk.emulator import Emulator, Quirks
from novitai_sdk.testing import ManualClock

novita = pytest.importorskip("novita", reason="needs novita-sdk: nox -s strangers")
models = pytest.importorskip("novita.generated.models")

HOUR = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cloud(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Emulator]:
    with Emulator(clock=clock, quirks=getattr(request, "param", None)) as emulator:
        yield emulator


@pytest.fixture
def gpu(cloud: Emulator):
    client = novita.NovitaClient(api_key=cloud.api_key, base_url=cloud.base_url)
    with client:
        yield client.gpu


@pytest.fixture
def running(gpu, clock: ManualClock) -> str:
    made = gpu.instances.create(wanted(gpu))
    clock.advance(HOUR)
    return made.id


def wanted(gpu, **others):
    product = next(one for one in gpu.products.list() if one.available_deploy)
    return models.CreateInstanceRequest(
        **{
            "name": "from elsewhere",
            "product_id": product.id,
            "gpu_num": 1,
            "rootfs_size": 60,
            "image_url": "docker.io/library/ubuntu:24.04",
            "kind": "gpu",
            **others,
        }
    )


def test_it_reads_what_can_be_rented(gpu):
    assert {"RTX 4090 24GB"} <= {one.name for one in gpu.products.list()}
    assert gpu.products.list(gpu_num=8)
    assert gpu.products.list_cpu()
    assert gpu.clusters.list()


def test_it_rents_watches_and_returns_a_machine(gpu, clock):
    made = gpu.instances.create(wanted(gpu, name="mine"))
    assert [one.id for one in gpu.instances.list()] == [made.id]
    assert gpu.instances.get(made.id).status.value != "running"
    clock.advance(HOUR)
    found = gpu.instances.get(made.id)
    assert (found.name, found.status.value) == ("mine", "running")
    gpu.instances.delete(made.id)
    clock.advance(HOUR)
    assert gpu.instances.list() == []
    with pytest.raises(novita.NotFoundError):
        gpu.instances.get("none-such")


def test_it_takes_a_machine_through_its_states(gpu, running, clock):
    def status() -> str:
        clock.advance(HOUR)
        return gpu.instances.get(running).status.value

    gpu.instances.stop(running)
    assert status() == "exited"
    with pytest.raises(novita.BadRequestError):
        gpu.instances.stop(running)
    gpu.instances.start(running)
    assert status() == "running"
    gpu.instances.restart(running)
    assert status() == "running"


def test_it_changes_a_machine_and_its_bill(gpu, running, clock):
    port = models.Port(port=8080, type="http")
    gpu.instances.edit(
        models.EditInstanceRequest(instance_id=running, ports=[port], expand_root_disk=10)
    )
    clock.advance(HOUR)
    found = gpu.instances.get(running)
    assert 8080 in {one.port for one in found.port_mappings}
    gpu.instances.convert_to_monthly(running, 1)
    gpu.instances.renew(running, 1)
    with pytest.raises(novita.BadRequestError):
        gpu.instances.delete(running)


def test_it_saves_an_image_and_sees_the_job(gpu, running):
    job = gpu.instances.save_image(
        models.SaveImageRequest(instance_id=running, image="docker.io/me/mine:1")
    )
    assert [one.id for one in gpu.jobs.list()] == [job]


def test_it_keeps_storage(gpu):
    (cluster, *_) = gpu.clusters.list()
    # Its create reads an object where the cloud answers an id.
    assert gpu.storages.list() == []
    with pytest.raises(Exception, match="NetworkStorageModel"):
        gpu.storages.create(
            models.CreateNetworkStorageRequest(
                cluster_id=cluster.id, storage_name="data", storage_size=10
            )
        )
    (kept,) = gpu.storages.list()
    assert (kept.storage_name, kept.storage_size) == ("data", 10)
    gpu.storages.update(
        models.UpdateNetworkStorageRequest(
            storage_id=kept.storage_id, storage_name="more", storage_size=20
        )
    )
    assert [one.storage_size for one in gpu.storages.list()] == [20]
    gpu.storages.delete(kept.storage_id)
    assert gpu.storages.list() == []


def test_it_keeps_a_template(gpu, clock):
    payload = models.TemplateCreatePayload(
        name="mine",
        readme="# mine",
        type="instance",
        channel="private",
        image="docker.io/me/mine:1",
        start_command="serve",
        rootfs_size=60,
        ports=[models.TemplatePort(type="http", ports=[8080])],
        volumes=[],
        envs=[models.TemplateEnvironmentVariable(key="K", value="v")],
    )
    made = gpu.templates.create(models.CreateTemplateRequest(template=payload)).template_id
    found = gpu.templates.get(made)
    assert (found.name, found.rootfs_size, found.ports[0].ports) == ("mine", 60, [8080])
    clock.advance(HOUR)
    assert made in {one.id for one in gpu.templates.list()}
    gpu.templates.delete(made)
    # Not found is a 400 here, as the cloud has it.
    with pytest.raises(novita.BadRequestError):
        gpu.templates.get(made)


def test_it_keeps_the_credential_of_a_registry(gpu):
    before = {one.id for one in gpu.registries.list()}
    gpu.registries.create("hub.example.com", "u", "hunter2")
    (made,) = [one for one in gpu.registries.list() if one.id not in before]
    assert (made.name, made.username) == ("hub.example.com", "u")
    gpu.registries.delete(made.id)
    assert {one.id for one in gpu.registries.list()} == before


def test_it_prewarms_an_image(gpu, clock):
    (cluster, *_) = gpu.clusters.list()
    made = gpu.image_prewarm.create(
        models.CreateImagePrewarmRequest(
            image_url="docker.io/me/mine:1", cluster_id=cluster.id, note="for monday"
        )
    )
    clock.advance(HOUR)
    # Its edit and its delete name the task by a key the documents do not have.
    (found,) = gpu.image_prewarm.list()
    assert (found.id, found.image_name, found.note) == (made.id, "mine", "for monday")
    assert found.state.value == "Succeeded"
    assert gpu.image_prewarm.get_quota() == {"total": 1, "limit": 5, "perImageSize": 100}


def test_it_moves_a_machine(gpu, running, clock):
    # Its upgrade leaves out the entrypoint, which the documents require.
    gpu.instances.stop(running)
    clock.advance(HOUR)
    gpu.instances.migrate(running)
    assert [one.type.value for one in gpu.jobs.list()] == ["instanceMigrate"]


@pytest.mark.parametrize("cloud", [Quirks(networks_in_lists=False)], indirect=True)
def test_it_keeps_a_network(gpu, clock):
    cluster = next(one for one in gpu.clusters.list() if one.support_instance_network)
    gpu.networks.create(models.CreateNetworkRequest(cluster_id=cluster.id, name="lab"))
    clock.advance(HOUR)
    # What one network is, it reads as an address, without an id; the list it reads right.
    (made,) = gpu.networks.list()
    assert (made.name, made.cluster_id, made.addresses) == ("lab", cluster.id, [])
    gpu.networks.update(models.UpdateNetworkRequest(network_id=made.id, name="hall"))
    assert [one.name for one in gpu.networks.list()] == ["hall"]
    gpu.networks.delete(made.id)
    assert gpu.networks.list() == []


def test_it_makes_an_endpoint_and_finds_it_in_the_list(gpu):
    limits = gpu.endpoints.get_limit_ranges()
    wanted = models.Endpoint(
        name="chat",
        app_name="chat-app",
        worker_config=models.WorkerConfig1(
            min_num=1, max_num=2, free_timeout=60, max_concurrent=4, gpu_num=limits["minGPUNum"]
        ),
        ports=models.Ports(port="8000"),  # alone, where the documents have a list
        policy=models.Policy1(type="queue", value=30),
        image=models.Image1(image="docker.io/me/chat:1"),
        products=[models.Product1(id=gpu.products.list()[0].id)],
        rootfs_size=limits["freeRootfsSize"],
        volume_mounts=[models.VolumeMount3(type="local", size=30, mount_path="/data")],
        envs=[],
        healthy=models.Healthy1(path="/health"),
    )
    made = gpu.endpoints.create(models.CreateEndpointRequest(endpoint=wanted))
    # Its get, its update and its delete name the endpoint by a key the documents do not have.
    (found,) = gpu.endpoints.list()
    assert (found.id, found.app_name, found.state.state) == (made.id, "chat-app", "serving")
    assert [one.port for one in found.ports] == ["8000"]
    assert (found.worker_config.max_num, len(found.workers)) == (2, 1)
    with pytest.raises(novita.BadRequestError):
        gpu.endpoints.create(models.CreateEndpointRequest(endpoint=wanted))


def test_a_wrong_key_and_too_many_calls_are_what_it_takes_them_for(cloud):
    with (
        novita.NovitaClient(api_key="sk-wrong", base_url=cloud.base_url) as stranger,
        pytest.raises(novita.AuthenticationError),
    ):
        stranger.gpu.instances.list()
