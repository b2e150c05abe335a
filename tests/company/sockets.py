"""Websockets by Channels' own means."""

from channels.auth import AuthMiddlewareStack, login, logout
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import URLRouter
from django.core.exceptions import PermissionDenied
from django.urls import path

from tests.store.in_company.site import BACKEND, user_named


class Account(AsyncJsonWebsocketConsumer):
    """Says who its scope is, and signs in and out."""

    async def receive_json(self, content):
        match content["do"]:
            case "login":
                user = await database_sync_to_async(user_named)(content["username"])
                try:
                    await login(self.scope, user, BACKEND)
                except PermissionDenied:
                    pass
                else:
                    await database_sync_to_async(self.scope["session"].save)()
            case "logout":
                await logout(self.scope)
            case "put":
                await database_sync_to_async(self.put)(content["cart"])
        await self.send_json(await database_sync_to_async(self.seen)())

    def put(self, cart):
        self.scope["session"]["cart"] = cart
        self.scope["session"].save()

    def seen(self):
        session, row = self.scope["session"], self.scope.get("user_session")
        return {
            "user": self.scope["user"].get_username() or None,
            "row": str(row.pk) if row else None,
            "data": dict(session.items()),
            "key": session.session_key,
        }


def channels_own():
    return AuthMiddlewareStack(URLRouter([path("account/", Account.as_asgi())]))
