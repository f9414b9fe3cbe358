"""The routes of the reaper's HTTP API. No answer holds a key, and an unknown family looks like a wrong token."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fleet.errors import FleetError
from fleet.registry import Family
from reaper import metrics, views
from reaper.context import Context
from reaper.http import auth, status_page
from reaper.http.requests import Requests
from reaper.store.database import StoreError
from reaper.wake.runtime import NotProvisionedError, Runtime, SuspendedError, TimedOutError
from reaper.wake.waker import Waker

log = logging.getLogger("reaper")

_BODY_BYTES = 4096
_NAME_LENGTH = 64
_BURST, _PER_SECOND = 300.0, 30.0

_STATUS = {SuspendedError: 409, NotProvisionedError: 404, TimedOutError: 503}


class Api:
    """The routes of one reaper."""

    def __init__(self, context: Context, waker: Waker) -> None:
        """Serve this reaper."""
        self._context = context
        self._rates = auth.Rates(_BURST, _PER_SECOND)
        self._requests = Requests(context, waker)

    def app(self) -> Starlette:
        """Return the ASGI application."""
        family = "/v1/families/{name}"
        return Starlette(
            routes=[
                Route(f"{family}/heartbeat", self._guarded(self._requests.heartbeat), methods=["POST"]),
                Route(f"{family}/ensure", self._guarded(self._requests.ensure), methods=["POST"]),
                Route("/v1/families", self._for_admin(self._families), methods=["GET"]),
                Route(family, self._for_admin(self._family), methods=["GET"]),
                Route("/metrics", self._for_admin(self._metrics), methods=["GET"]),
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/", self._for_admin(self._page), methods=["GET"]),
            ],
            exception_handlers={HTTPException: self._refused, Exception: self._broken},
        )

    # -- routes for families

    def _guarded(self, answer: Callable[[Family], Awaitable[Runtime]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            family, token = self._named(request)
            if not auth.may_use(self._context, family, token):
                self._limit(f"address {_address(request)}")
                raise HTTPException(401)
            if family is None:
                raise HTTPException(404, "there is no such family in the registry")
            self._limit(f"family {family.id}")
            await _drain(request)
            try:
                return JSONResponse(vars(await answer(family)))
            except tuple(_STATUS) as error:
                status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
                raise HTTPException(status, str(error)) from error
            except FleetError as error:
                log.error("%s: %s", family.name, error)  # noqa: TRY400 - the message is enough
                raise HTTPException(503, "the Docker daemon does not answer") from error

        return endpoint

    # -- routes for operators

    async def _families(self, _: Request) -> Response:
        found = await anyio.to_thread.run_sync(views.statuses, self._context)
        return JSONResponse({"families": [vars(view) for view in found]})

    async def _family(self, request: Request) -> Response:
        family, _ = self._named(request)
        if family is None:
            raise HTTPException(404, "there is no such family in the registry")
        query = request.query_params
        try:
            asked = views.ledger_query(query.get("since"), query.get("lines"), family, self._context.clock.now())
        except FleetError as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse(await anyio.to_thread.run_sync(views.explain, self._context, family, asked))

    async def _metrics(self, _: Request) -> Response:
        return Response(self._context.metrics.text(), media_type=metrics.CONTENT_TYPE)

    async def _page(self, _: Request) -> Response:
        text = await anyio.to_thread.run_sync(partial(status_page.render, self._context))
        headers = {"Content-Security-Policy": status_page.POLICY, "Cache-Control": "no-store"}
        return HTMLResponse(text, headers=headers)

    async def _healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    def _for_admin(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            token = auth.bearer(request.headers.get("authorization"))
            if not auth.is_admin(self._context, token) and not self._open_to(request):
                self._limit(f"address {_address(request)}")
                raise HTTPException(401)
            try:
                return await answer(request)
            except (FleetError, StoreError) as error:
                log.error("%s", error)  # noqa: TRY400 - the message is enough
                raise HTTPException(503, "the Docker daemon or the store does not answer") from error

        return endpoint

    def _open_to(self, request: Request) -> bool:
        """Tell whether `open_status` admits the request: it comes from this machine.

        Reject foreign Host headers (DNS rebinding) and proxied requests.
        """
        if not self._context.settings.open_status or "authorization" in request.headers:
            return False
        if any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via")):
            return False
        return is_loopback(_address(request)) and is_loopback(request.url.hostname or "")

    # -- what all share

    def _named(self, request: Request) -> tuple[Family | None, str]:
        name = request.path_params["name"]
        family = self._context.families.find(name) if len(name) <= _NAME_LENGTH else None
        return family, auth.bearer(request.headers.get("authorization"))

    def _limit(self, caller: str) -> None:
        if not self._rates.allows(caller):
            raise HTTPException(429, "too many requests", headers={"Retry-After": "5"})

    async def _refused(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - Starlette types every handler alike
        self._context.metrics.refused.labels(str(error.status_code)).inc()
        headers = {"WWW-Authenticate": "Bearer"} if error.status_code == 401 else {}  # noqa: PLR2004 - unauthorized
        return JSONResponse(
            {"error": error.detail}, status_code=error.status_code, headers={**headers, **(error.headers or {})}
        )

    async def _broken(self, _: Request, error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        return JSONResponse({"error": "this is a bug in the reaper; see its log"}, status_code=500)


async def _drain(request: Request) -> None:
    """Read and ignore a request's body. Raises HTTPException 413 if it is too large."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _BODY_BYTES:
        raise HTTPException(413)
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > _BODY_BYTES:
                raise HTTPException(413)
    except ClientDisconnect as error:
        raise HTTPException(400) from error


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
