"""WebhookService at the public door."""

import re

from harmonia.webhook.v1 import webhook_pb2 as pb
from harmonia.webhook.v1 import webhook_pb2_grpc as rpc
from harmonia_chassis.access import current_principal
from harmonia_chassis.errors import NotFound, QuotaExceeded, Reason
from harmonia_chassis.identity import Principal
from harmonia_gateway import rules
from harmonia_gateway.patience import patience
from harmonia_gateway.quotas import Quotas
from harmonia_gateway.webhooks import Delivery, Webhook, Webhooks

MOST = 10

_NAME = re.compile(r"webhooks/([0-9a-f]{32})")

Request = pb.CreateWebhookRequest | pb.ListWebhooksRequest | pb.DeleteWebhookRequest | pb.ListDeliveriesRequest


class WebhookServicer(rpc.WebhookServiceServicer):
    def __init__(self, webhooks: Webhooks, quotas: Quotas) -> None:
        self._webhooks = webhooks
        self._quotas = quotas

    async def CreateWebhook(self, request: pb.CreateWebhookRequest, _context: object) -> pb.CreateWebhookResponse:
        caller = self._admitted(request)
        async with patience():
            if len(await self._webhooks.of(caller.tenant, caller.owner)) >= MOST:
                message = f"{MOST} webhooks are as many as there may be: delete one"
                raise QuotaExceeded(message, reason=Reason.RATE_LIMITED)
            webhook = await self._webhooks.create(
                caller.tenant, caller.owner, request.url, named_only=request.named_only
            )
        return pb.CreateWebhookResponse(webhook=_webhook(webhook), secret=webhook.secret)

    async def ListWebhooks(self, request: pb.ListWebhooksRequest, _context: object) -> pb.ListWebhooksResponse:
        caller = self._admitted(request)
        async with patience():
            found = await self._webhooks.of(caller.tenant, caller.owner)
        return pb.ListWebhooksResponse(webhooks=[_webhook(one) for one in found])

    async def DeleteWebhook(self, request: pb.DeleteWebhookRequest, _context: object) -> pb.Webhook:
        async with patience():
            webhook = await self._own(request.name, self._admitted(request))
            await self._webhooks.delete(webhook)
        return _webhook(webhook)

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, _context: object) -> pb.ListDeliveriesResponse:
        async with patience():
            webhook = await self._own(request.name, self._admitted(request))
            found = await self._webhooks.deliveries(webhook)
        return pb.ListDeliveriesResponse(deliveries=[_delivery(one) for one in found])

    async def _own(self, name: str, caller: Principal) -> Webhook:
        match = _NAME.fullmatch(name)
        own = await self._webhooks.of(caller.tenant, caller.owner) if match else []
        found = next((one for one in own if match and one.id == match[1]), None)
        if found is None:
            message = f"there is no {name[:60]!r}: ListWebhooks tells which there are"
            raise NotFound(message, reason=Reason.WEBHOOK_NOT_FOUND, field="name")
        return found

    def _admitted(self, request: Request) -> Principal:
        """Raises QuotaExceeded, InvalidInput."""
        rules.refuse_unknown_fields(request)
        caller = current_principal()
        self._quotas.reads.take(caller.tenant)
        return caller


def _webhook(webhook: Webhook) -> pb.Webhook:
    told = pb.Webhook(name=f"webhooks/{webhook.id}", url=webhook.url, named_only=webhook.named_only)
    told.create_time.FromMicroseconds(int(webhook.create_time * 1e6))
    return told


def _delivery(delivery: Delivery) -> pb.Delivery:
    told = pb.Delivery(
        id=delivery.id,
        song=delivery.song,
        state=pb.Delivery.State.Value(delivery.state),
        attempts=delivery.attempts,
        outcome=delivery.outcome,
        url=delivery.url,
    )
    for field, at in (
        (told.create_time, delivery.create_time),
        (told.last_time, delivery.last_time),
        (told.next_time, delivery.next_time),
    ):
        if at is not None:
            field.FromMicroseconds(int(at * 1e6))
    return told
