"""What a server in a process of its own serves."""

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()  # sets Django up for the import below

from tests.company.session_sockets import ours  # noqa: E402

application = ProtocolTypeRouter({"http": http, "websocket": ours()})
