"""What the models promise as values: relations, masks, open words, and how they are shown."""

import copy
import pickle
import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import cloud, converter, models, validate_create_instance
from novitai_sdk._convert import record_converter
from novitai_sdk.models import (
    BillingMode,
    Configuration,
    ConnectionDetails,
    CreateInstanceJobPayload,
    CreateInstanceRequest,
    EnhancedHealthCheckResponse,
    EnvVar,
    ErrorDetail,
    ErrorResponse,
    HealthCheckResponse,
    InstanceDetails,
    InstanceResponse,
    InstanceState,
    InstanceStatus,
    Job,
    JobPriority,
    JobStatus,
    JobType,
    NovitaCreateInstanceRequest,
    Port,
    PortMapping,
    Secret,
    SendWebhookJobPayload,
    Timestamps,
    ValidationErrorDetail,
    ValidationErrorResponse,
    WebhookEvent,
    WebhookStatus,
)
from novitai_sdk.models._base import secrets_in

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
LATER = datetime(2026, 1, 2, 12, 4, tzinfo=timezone.utc)
STATE = InstanceState(
    id="inst_1_abc",
    name="mine",
    status=InstanceStatus.CREATING,
    novita_instance_id="cloud-1",
    product_id="p-1",
    template_id=107672,
    configuration=Configuration(
        gpu_num=2, rootfs_size=100, region="US-WEST-01", image_url="img:1", image_auth="u:hush"
    ),
    timestamps=Timestamps(created=NOON, last_used=NOON),
    webhook_url="https://me:hush@example.com/hook?token=hush",
)
RESPONSE = InstanceResponse(
    id="cloud-1",
    name="the cloud's name",
    status=InstanceStatus.RUNNING,
    product_id="p-1",
    region="US-WEST-01 (Oregon)",
    gpu_num=2,
    rootfs_size=100,
    billing_mode=BillingMode.SPOT,
    created_at=LATER,
    started_at=LATER,
    connection_info=ConnectionDetails(ssh="ssh -p 22 root@host"),
    port_mappings=(PortMapping(port=8888, endpoint="https://host:1", type="http"),),
)
MODELS = [value for name in models.__all__ if attrs.has(value := getattr(models, name))]


def named(model: type) -> str:
    return model.__name__


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_every_model_is_frozen_keeps_what_it_does_not_know_and_takes_names_only(
    model: type,
) -> None:
    fields = attrs.fields_dict(model)
    assert fields["extra"].metadata == {"extra": True}
    assert all(field.kw_only for field in fields.values())
    bare = object.__new__(model)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        bare.extra = {}


def test_the_relations_of_the_contract_hold() -> None:
    assert issubclass(ValidationErrorResponse, ErrorResponse)
    assert issubclass(EnhancedHealthCheckResponse, HealthCheckResponse)


# -- open words ---------------------------------------------------------------------------------


@given(st.text())
def test_a_word_nobody_knows_is_kept(word: str) -> None:
    status = InstanceStatus(word)
    assert status == word
    assert str(status) == word
    assert status.known == (word in list(InstanceStatus))


def test_the_contracts_statuses_are_known() -> None:
    assert {str(one) for one in InstanceStatus} == {
        "creating", "created", "starting", "running", "stopping", "stopped", "failed",
        "terminated", "health_checking", "ready", "exited", "migrating",
    }  # fmt: skip
    assert [int(one) for one in JobPriority] == [1, 2, 3, 4]
    assert "monitor_startup" in list(JobType)


def test_the_old_spelling_of_on_demand_is_read_as_the_new_one() -> None:
    assert BillingMode("on_demand") is BillingMode.ON_DEMAND
    assert BillingMode("yearly").known is False


# -- one instance, three views ------------------------------------------------------------------


def test_details_are_made_from_a_record() -> None:
    details = InstanceDetails.from_state(STATE)
    assert details == InstanceDetails(
        id="inst_1_abc",
        name="mine",
        status=InstanceStatus.CREATING,
        gpu_num=2,
        region="US-WEST-01",
        created_at=NOON,
        last_used_at=NOON,
    )
    assert details.port_mappings == ()
    assert details.connection_details is None


def test_details_of_a_machine_without_a_record_are_the_clouds() -> None:
    details = InstanceDetails.from_response(RESPONSE)
    assert (details.id, details.name, details.created_at) == ("cloud-1", "the cloud's name", LATER)
    assert details.connection_details == RESPONSE.connection_info
    assert details.port_mappings == RESPONSE.port_mappings
    assert details.ready_at == LATER


def test_what_a_record_knows_better_wins_over_the_clouds_report() -> None:
    state = attrs.evolve(STATE, timestamps=Timestamps(created=NOON, ready=NOON))
    details = InstanceDetails.from_response(RESPONSE, state=state)
    assert (details.id, details.name, details.region) == ("inst_1_abc", "mine", "US-WEST-01")
    assert (details.created_at, details.ready_at) == (NOON, NOON)
    assert details.status is InstanceStatus.RUNNING
    assert details.started_at == LATER


def test_ports_that_the_cloud_does_not_mention_are_none_to_be_shown() -> None:
    silent = attrs.evolve(RESPONSE, port_mappings=None)
    assert InstanceDetails.from_response(silent).port_mappings == ()


def test_a_record_is_brought_up_to_date_by_what_is_shown_and_loses_nothing() -> None:
    seen = InstanceDetails.from_response(RESPONSE, state=STATE)
    state = seen.to_state(STATE)
    assert (state.status, state.timestamps.started) == (InstanceStatus.RUNNING, LATER)
    assert (state.product_id, state.webhook_url) == (STATE.product_id, STATE.webhook_url)
    assert InstanceDetails.from_state(STATE).to_state(STATE) == STATE


def test_details_go_back_to_the_clouds_report() -> None:
    seen = InstanceDetails.from_response(RESPONSE)
    back = InstanceResponse.from_details(seen, STATE, billing_mode=BillingMode.SPOT)
    assert back == attrs.evolve(RESPONSE, image_url="img:1", template_id=107672)
    unborn = attrs.evolve(STATE, novita_instance_id=None)
    assert InstanceResponse.from_details(seen, unborn, billing_mode=BillingMode.SPOT).id == seen.id


def test_what_the_cloud_is_asked_is_derived_from_what_we_were_asked() -> None:
    request = CreateInstanceRequest(
        name="mine",
        product_name="RTX 4090 24GB",
        template_id=107672,
        gpu_num=2,
        region="EU-WEST-01",
    )
    asked = NovitaCreateInstanceRequest.from_request(
        request,
        product_id="p-1",
        image_url="img:1",
        image_auth=Secret("u:hush"),
        ports=(Port(port=8888, type="http"),),
        envs=(EnvVar(key="A", value="hush"),),
    )
    for name in ("name", "template_id", "gpu_num", "rootfs_size", "region", "billing_mode"):
        assert getattr(asked, name) == getattr(request, name)
    assert (asked.product_id, asked.image_url, asked.ports[0].port) == ("p-1", "img:1", 8888)


# -- secrets ------------------------------------------------------------------------------------

SECRETIVE = [
    STATE,
    EnvVar(key="A", value="hush"),
    Configuration(
        gpu_num=1, rootfs_size=60, region="r", image_url="i", envs=(EnvVar(key="A", value="hush"),)
    ),
    ConnectionDetails(
        jupyter="https://host/lab?token=hush", web_terminal="https://u:hush@host/#hush"
    ),
    PortMapping(port=8888, endpoint="https://u:hush@host/lab?token=hush", type="http"),
    ValidationErrorDetail(field="webhookUrl", message="m", value="ftp://u:hush@host/?k=hush"),
    ValidationErrorDetail(field="a", message="m", value={"b": [None, "https://host/#hush"]}),
    ErrorDetail(
        code="c", message="m", timestamp=NOON, request_id="r", details=["https://u:hush@host"]
    ),
    attrs.evolve(STATE, health_check={"endpoints": ["https://host/?token=hush"]}),
    CreateInstanceRequest(
        name="a",
        product_name="b",
        template_id="c",
        webhook_url="https://u:hush@example.com/?k=hush",
    ),
    SendWebhookJobPayload(
        url="https://example.com/?k=hush", payload={"a": "hush"}, headers={"X-Key": "hush"}
    ),
    CreateInstanceJobPayload(
        instance_id="i",
        name="a",
        product_name="b",
        template_id="c",
        gpu_num=1,
        rootfs_size=60,
        region="r",
        webhook_url="https://u:hush@example.com",
    ),
    Job(
        id="j",
        type=JobType.SEND_WEBHOOK,
        payload={"headers": {"X-Key": "hush"}},
        status=JobStatus.PENDING,
        created_at=NOON,
    ),
    WebhookEvent(instance_id="i", status="running", timestamp=NOON, data={"jupyter": "hush"}),
    InstanceDetails(
        id="i",
        name="n",
        status=InstanceStatus.RUNNING,
        gpu_num=1,
        region="r",
        created_at=NOON,
        extra={"password": "hush"},
    ),
]


@pytest.mark.parametrize("value", SECRETIVE, ids=lambda value: type(value).__name__)
def test_no_repr_tells_a_secret(value: object) -> None:
    assert "hush" not in repr(value)
    assert "hush" not in str(value)
    assert "hush" not in f"{value}"


HOLDERS = {
    model
    for package in (models, cloud)
    for name in package.__all__
    if attrs.has(model := getattr(package, name))
}
ADDRESSES = [
    (model, field.name)
    for model in sorted(HOLDERS, key=str)
    for field in attrs.fields(model)
    if re.search(r"(url|address|endpoint|image|ssh|ssh_command|jupyter|terminal)$", field.name)
    and field.type in (str, str | None)
]


@pytest.mark.parametrize(("model", "name"), ADDRESSES)
def test_no_field_that_may_be_an_address_shows_its_credentials(model: Any, name: str) -> None:
    show = attrs.fields_dict(model)[name].repr
    assert callable(show)
    assert show("https://me:hush@host/x?token=hush#hush") == "'https://***@host/x?***'"


def test_a_refused_input_shows_the_rest_of_it_without_credentials() -> None:
    found = validate_create_instance({"webhookUrl": "https://me:hush@example.com/?k=hush"})
    assert found.error is not None
    assert "example.com" in repr(found)
    assert "hush" not in repr(found)


def test_an_address_without_credentials_is_shown_as_it_is() -> None:
    shown = repr(ConnectionDetails(ssh="ssh -p 22 root@host", jupyter="https://host:1/lab"))
    assert "'ssh -p 22 root@host'" in shown
    assert "'https://host:1/lab'" in shown
    assert ConnectionDetails(jupyter="https://h/?token=t").jupyter == "https://h/?token=t"


@pytest.mark.parametrize("journey", [copy.copy, copy.deepcopy, Secret])
def test_a_copied_secret_keeps_its_text(journey: Callable[[Secret], Secret]) -> None:
    assert journey(Secret("hush")).reveal() == "hush"
    template = EnvVar(key="A", value="hush")
    assert attrs.evolve(copy.deepcopy(template), key="B").value.reveal() == "hush"


def unpickled(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    written = pickle.dumps(value, protocol)
    assert b"hush" not in written
    return pickle.loads(written)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_out_of_a_pickle_says_that_its_text_is_not_there(protocol: int) -> None:
    lost = unpickled(Secret("hush"), protocol)
    for one in (lost, Secret(lost), copy.deepcopy(lost), unpickled(lost)):
        assert one.lost
        assert (str(one), repr(one)) == ("***", "Secret('***')")
        with pytest.raises(ValueError, match="a pickle does not carry secrets"):
            one.reveal()
    assert not Secret("hush").lost


def test_a_secret_out_of_a_pickle_is_like_others_out_of_one_and_like_no_text() -> None:
    lost = unpickled(Secret("hush"))
    assert lost == unpickled(Secret("another"))
    assert len({lost, unpickled(Secret("another")), Secret("***"), Secret("")}) == 3
    assert lost not in (Secret("hush"), Secret("***"), Secret("left behind"), Secret(""))


def test_a_model_out_of_a_pickle_can_be_shown_and_searched_for_secrets() -> None:
    for value in (EnvVar(key="A", value="hush"), STATE.configuration):
        again = unpickled(value)
        assert "***" in repr(again)
        assert hash(again) == hash(unpickled(value))
        assert list(secrets_in(again)) == []
        with pytest.raises(ValueError, match="a pickle does not carry secrets"):
            converter.unstructure(again)
        record_converter.unstructure(again)


# -- the notebook -------------------------------------------------------------------------------


def test_a_notebook_shows_a_table_with_everything_escaped() -> None:
    evil = "<script>alert(1)</script>"
    details = InstanceDetails(
        id=evil,
        name=f'"{evil}&',
        status=InstanceStatus(evil),
        gpu_num=1,
        region=evil,
        created_at=NOON,
        ready_at=LATER,
        connection_details=ConnectionDetails(ssh=evil, jupyter=evil, web_terminal=evil),
        port_mappings=(PortMapping(port=1, endpoint=evil, type=evil),),
    )
    shown = details._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 9
    assert "&quot;" in shown
    assert shown.startswith("<table>")
    assert "2026-01-02 12:04:00" in shown


@given(st.text(), st.text())
def test_nothing_in_an_instance_becomes_a_tag(name: str, address: str) -> None:
    details = InstanceDetails(
        id="i",
        name=name,
        status=InstanceStatus.RUNNING,
        gpu_num=1,
        region="r",
        created_at=NOON,
        connection_details=ConnectionDetails(ssh=address),
    )
    plain = details._repr_html_()
    for tag in ("table", "tr", "th", "td"):
        plain = plain.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
    assert "<" not in plain
    assert ">" not in plain


def test_a_notebook_is_saved_and_shared_so_it_shows_no_credentials() -> None:
    details = InstanceDetails(
        id="i",
        name="n",
        status=InstanceStatus.RUNNING,
        gpu_num=1,
        region="r",
        created_at=NOON,
        connection_details=ConnectionDetails(jupyter="https://u:hush@host/lab?token=hush"),
    )
    shown = details._repr_html_()
    assert "hush" not in shown
    assert "***@host/lab?***" in shown
    assert "ready" not in shown


# -- values -------------------------------------------------------------------------------------


def test_values_with_objects_inside_can_be_members_of_sets() -> None:
    values = {*SECRETIVE, STATE, RESPONSE, ValidationErrorDetail(field="f", message="m", value=[1])}
    assert STATE in values


def test_values_survive_copies_and_pickles() -> None:
    for value in (RESPONSE, InstanceDetails.from_state(STATE)):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value


def test_a_webhook_event_takes_its_status_as_a_plain_text() -> None:
    event = WebhookEvent(instance_id="i", status="timeout", timestamp=NOON)
    assert event.status is WebhookStatus.TIMEOUT


def test_a_detail_tells_a_missing_value_from_null() -> None:
    assert ValidationErrorDetail(field="f", message="m", value=0).given
    assert not ValidationErrorDetail(field="f", message="m").given
    assert ValidationErrorDetail(field="f", message="m", value=None, given=True).given
