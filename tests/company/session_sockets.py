"""Websockets by the app's means: each kind of consumer, closed when its session ends."""

from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import URLRouter
from django.urls import path

from sessions_ext.channels import SessionConsumerMixin, SessionMiddlewareStack
from tests.company.sockets import Account

# The codes that the consumers were told their sockets were closed by.
told: list[int] = []


class AsyncRaw(SessionConsumerMixin, AsyncConsumer):
    async def websocket_connect(self, message):
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message):
        await self.send({"type": "websocket.send", "text": '"pong"'})

    async def websocket_disconnect(self, message):
        told.append(message["code"])
        raise StopConsumer


class SyncRaw(SessionConsumerMixin, SyncConsumer):
    def websocket_connect(self, message):
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message):
        self.send({"type": "websocket.send", "text": '"pong"'})

    def websocket_disconnect(self, message):
        told.append(message["code"])
        raise StopConsumer


class AsyncText(SessionConsumerMixin, AsyncWebsocketConsumer):
    """With a connect() of its own."""

    async def connect(self):
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await self.send('"pong"')

    async def disconnect(self, code):
        told.append(code)


class SyncText(SessionConsumerMixin, WebsocketConsumer):
    def connect(self):
        self.accept()

    def receive(self, text_data=None, bytes_data=None):
        self.send('"pong"')

    def disconnect(self, code):
        told.append(code)


class AsyncGroup(AsyncText):
    """With a group of its own, which hears what one of it says."""

    groups = ["everybody"]

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("everybody", {"type": "tell"})

    async def tell(self, event):
        await self.send('"told"')


class SyncGroup(SyncText):
    groups = ["everybody"]

    def receive(self, text_data=None, bytes_data=None):
        async_to_sync(self.channel_layer.group_send)("everybody", {"type": "tell"})

    def tell(self, event):
        self.send('"told"')


class AsyncJson(SessionConsumerMixin, AsyncJsonWebsocketConsumer):
    async def receive_json(self, content):
        await self.send_json("pong")

    async def disconnect(self, code):
        told.append(code)


class SyncJson(SessionConsumerMixin, JsonWebsocketConsumer):
    def receive_json(self, content):
        self.send_json("pong")

    def disconnect(self, code):
        told.append(code)


class ClosingAccount(SessionConsumerMixin, Account):
    pass


KINDS = {
    "async-raw": AsyncRaw,
    "sync-raw": SyncRaw,
    "async-text": AsyncText,
    "sync-text": SyncText,
    "async-json": AsyncJson,
    "sync-json": SyncJson,
    "async-group": AsyncGroup,
    "sync-group": SyncGroup,
    "closing-account": ClosingAccount,
    "account": Account,
}


def ours():
    return SessionMiddlewareStack(
        URLRouter([path(f"{kind}/", each.as_asgi()) for kind, each in KINDS.items()])
    )
