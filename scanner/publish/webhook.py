"""Posts each event as JSON to an HTTPS address, signed as Standard Webhooks has it (docs/hooks.md).

One POST per event, one connection for as long as the receiver keeps it. Headers: `webhook-id` (the event's id, the same
however often it is sent), `webhook-timestamp` (seconds since 1970) and, with a secret, `webhook-signature`: `v1,` and
the base64 of HMAC-SHA256 over `id.timestamp.body` (https://github.com/standard-webhooks/standard-webhooks, spec 1.0.0).

Redirects are not followed: what the configuration names is who gets it. Certificates are verified. The answer's body
is read up to a bound and thrown away; nothing in it is believed but the status code.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

import scanner
from scanner.errors import UsageProblem
from scanner.publish import Doubtful, Unavailable, event, secret
from scanner.publish.choice import Choice
from scanner.store.outbox import Draft

SECRET_VARIABLE = "LANVETO_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
TOKEN_VARIABLE = "LANVETO_WEBHOOK_TOKEN"  # noqa: S105 - the name of the variable
ANSWER_BYTES = 65_536
"""So much of an answer is read; a longer one costs the connection."""
_THE_MESSAGE = frozenset({400, 406, 409, 411, 412, 413, 414, 415, 416, 417, 422, 431, 451})
"""Answers that speak of what was sent. Others of their kind speak of the address or of who we are (401, 403, 404, …):
all that waits would meet the same, and nothing of it is given up."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[publish.webhook]`."""

    url: str
    secret_file: str | None = None
    """Else LANVETO_WEBHOOK_SECRET: the key of the signature, as text or as `whsec_` and base64."""
    token_file: str | None = None
    """Else LANVETO_WEBHOOK_TOKEN: sent as `Authorization: Bearer …`."""
    ca: str | None = None
    """Certificates of the authorities to trust, instead of the system's (PEM)."""
    timeout: float = 10.0
    """Seconds for one POST and its answer."""


class Webhook:
    """The sink of the outbox."""

    Settings: ClassVar[type[msgspec.Struct]] = _Settings
    slots: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ()
    parallel: ClassVar[int] = 20

    def __init__(self, settings: _Settings, choice: Choice) -> None:
        parts = urlsplit(settings.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageProblem(f"url: {self._shown(settings.url)}: begin it with https:// and a host")
        if parts.username is not None or parts.password is not None:
            raise UsageProblem(
                f"url: {self._shown(settings.url)}: put the secret into a file (token-file) or {TOKEN_VARIABLE}, "
                "not into the address"
            )
        try:
            self.port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise UsageProblem(f"url: {self._shown(settings.url)}: {error}") from error
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not self.path.isascii() or not self.path.isprintable() or " " in self.path:
            raise UsageProblem(f"url: {self._shown(settings.url)}: write other characters as %XX")
        if not 0 < settings.timeout <= 300:
            raise UsageProblem("timeout: must lie between 0 and 300 seconds")
        self.host, self.tls, self.timeout = parts.hostname, parts.scheme == "https", settings.timeout
        if settings.ca is not None and not self.tls:
            raise UsageProblem("ca: needs an https:// address")
        if settings.ca is not None and not Path(settings.ca).is_file():
            raise UsageProblem(f"ca: {settings.ca}: there is no such file")
        self.ca = settings.ca
        self.key = _key(secret(settings.secret_file, SECRET_VARIABLE, "secret-file"))
        self.token = secret(settings.token_file, TOKEN_VARIABLE, "token-file")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageProblem("token-file: must hold one line of printable ASCII")
        self.choice = choice
        self._name = self._shown(settings.url)

    @staticmethod
    def _shown(url: str) -> str:
        """The address without what may be secret in it: user, query, and the path, which often is a token."""
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…" if parts.netloc else repr(url[:80])

    def __str__(self) -> str:
        return self._name

    def session(self) -> _Session:
        """A connection, made with the first event."""
        return _Session(self)

    def headers(self, draft: Draft, stamp: int) -> dict[str, str]:
        """The headers of one POST, signed where there is a secret."""
        found = {
            "Content-Type": "application/json",
            "User-Agent": f"lanveto/{scanner.__version__}",
            "webhook-id": draft.uid,
            "webhook-timestamp": str(stamp),
        }
        if self.key is not None:
            found["webhook-signature"] = signature(self.key, draft.uid, stamp, draft.body)
        if self.token is not None:
            found["Authorization"] = f"Bearer {self.token}"
        return found

    def connection(self) -> http.client.HTTPConnection:
        """A connection, not yet made. Raises `Unavailable` for certificates that cannot be read."""
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (ssl.SSLError, OSError) as error:
            raise Unavailable(f"ca: {self.ca}: cannot be used: {error}") from error
        return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=context)


def signature(key: bytes, uid: str, stamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    text = f"{uid}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()


def _key(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not text.strip():
        raise UsageProblem("secret-file: the secret is empty")
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise UsageProblem(f"secret-file: what follows whsec_ is no base64: {error}") from error


class _Session:
    """Posts one event after the other."""

    def __init__(self, sink: Webhook) -> None:
        self.again = asyncio.Event()
        self._sink = sink
        self._connection: http.client.HTTPConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()

    async def beat(self, status: Mapping[str, Any]) -> None:
        """Webhooks have no place for signs of life."""

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        """In order; stops before the first that was not answered for good."""
        answers: list[str | None] = []
        for draft in messages:
            try:
                told = event(draft, self._sink.choice)
                answers.append(None if told is None else await self._post(draft))
            except (Unavailable, Doubtful):
                self._hang_up()
                if answers:
                    return answers
                raise
        return answers

    async def _post(self, draft: Draft) -> str | None:
        """None where the event was taken, else why it never will be."""
        reused = self._connection is not None
        try:
            code, place = await self._ask(draft)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._hang_up()
            if not reused:
                raise Doubtful(0, "the receiver hung up without an answer") from None
            # It had closed a connection nobody used; the id tells it should the event come twice.
            return await self._post(draft)
        if 200 <= code < 300:
            return None
        if code in _THE_MESSAGE:
            return f"HTTP {code}"
        if 300 <= code < 400:
            raise Doubtful(0, f"HTTP {code}: it redirects to {place!r}; redirects are not followed: name that address")
        hint = {401: ": check the token", 403: ": check the token", 404: ": check the address"}.get(code, "")
        raise Doubtful(0, f"HTTP {code}{hint}")

    async def _ask(self, draft: Draft) -> tuple[int, str]:
        fresh = self._connection is None
        connection = await asyncio.to_thread(self._sink.connection) if self._connection is None else self._connection
        self._connection = connection
        try:
            async with asyncio.timeout(self._sink.timeout + (self._sink.timeout if fresh else 0)):
                if fresh:
                    await asyncio.to_thread(_connect, connection)
                return await asyncio.to_thread(_ask, connection, self._sink, draft)
        except TimeoutError:
            raise Doubtful(0, f"no answer within {self._sink.timeout:g} s") from None
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            raise
        except (http.client.HTTPException, OSError) as error:
            raise Doubtful(0, f"no HTTP answer: {type(error).__name__}: {str(error)[:200]}") from error
        finally:
            if connection.sock is None:
                self._connection = None

    def _hang_up(self) -> None:
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        if connection.sock is not None:
            # A thread may still wait in it: this ends the waiting.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()


def _connect(connection: http.client.HTTPConnection) -> None:
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise Unavailable(f"cannot be reached: {error or type(error).__name__}") from error


def _ask(connection: http.client.HTTPConnection, sink: Webhook, draft: Draft) -> tuple[int, str]:
    """Status code and `Location`. Runs in a thread."""
    connection.request("POST", sink.path, body=draft.body, headers=sink.headers(draft, int(time.time())))
    with connection.getresponse() as answer:
        place = (answer.getheader("Location") or "")[:200]
        answer.read(ANSWER_BYTES)
        if not answer.isclosed():  # more than we want to read: the next answer would begin in it
            connection.close()
        return answer.status, place


SINK = Webhook
