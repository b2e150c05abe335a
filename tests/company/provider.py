"""An OpenID provider on loopback: whoever comes is the person that the test has put in front of it."""

import base64
import hashlib
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_ID = "the key of the tests"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """What the server knows: who is there, and which codes and tokens it gave out."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.person: dict[str, Any] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.visits: list[dict[str, str]] = []

    def authorize(self, query: dict[str, str]) -> str:
        """The address that the browser is sent back to, with a code that is good once."""
        self.visits.append(query)
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "person": self.person}
        answer = {"code": code, "state": query["state"]}
        return f"{query['redirect_uri']}?{urllib.parse.urlencode(answer)}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or asked["redirect_uri"] != form.get("redirect_uri"):
            return None
        if challenge := asked.get("code_challenge"):
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != challenge:
                return None
        token, now = secrets.token_urlsafe(16), int(time.time())
        self.tokens[token] = asked["person"]
        claims = {"iss": self.address, "aud": asked["client_id"], "iat": now, "exp": now + 300}
        claims |= asked["person"] | ({"nonce": asked["nonce"]} if "nonce" in asked else {})
        id_token = jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": KEY_ID})
        return {"access_token": token, "token_type": "Bearer", "expires_in": 300, "id_token": id_token}

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "jwks_uri": f"{self.address}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def keys(self) -> dict[str, Any]:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        return {"keys": [{**key, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]}


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        provider, url = self.server.provider, urllib.parse.urlsplit(self.path)
        match url.path:
            case "/.well-known/openid-configuration":
                self.answer(provider.configuration())
            case "/jwks":
                self.answer(provider.keys())
            case "/authorize":
                query = dict(urllib.parse.parse_qsl(url.query))
                self.answer({}, 302, Location=provider.authorize(query))
            case "/userinfo":
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                person = provider.tokens.get(token)
                self.answer(person or {}, 200 if person else 401)
            case _:
                self.answer({}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        granted = self.server.provider.token(dict(urllib.parse.parse_qsl(body)))
        self.answer(granted or {"error": "invalid_grant"}, 200 if granted else 400)

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    provider: Provider


@contextmanager
def running_provider() -> Iterator[Provider]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.provider = Provider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.provider
        finally:
            server.shutdown()
            thread.join()
