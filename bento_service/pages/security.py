"""What keeps pages apart from other sites: headers, forged requests, and addresses that can be listened to."""

from __future__ import annotations

from types import MappingProxyType
from urllib.parse import urlsplit

from fastapi import Request

from resources.base.errors import CrossSiteRequest, InsecureAddress
from resources.base.settings import Settings

_FEATURES = (
    *("accelerometer", "autoplay", "bluetooth", "camera", "display-capture", "geolocation", "gyroscope", "hid"),
    *("local-fonts", "magnetometer", "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb"),
    *("window-management", "xr-spatial-tracking"),
)
"""What no page of ours asks a browser for, so that a script that gets into one has nothing of it either."""
HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; connect-src 'self'; "
            "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
"""Headers of every page; `nosniff` is on every answer of the service already."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})
_LOOPBACK = frozenset({"localhost", "::1"})


def check_same_site(request: Request) -> None:
    """Refuse a request that changes something and does not come from a page of ours.

    Raises:
        CrossSiteRequest: the browser says so, or says nothing and the origin is another one.
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in _OWN:
            raise _forged()
    elif request.headers.get("origin") not in _own_origins(request):  # a browser of before 2023, or a program
        raise _forged()


def check_address(request: Request) -> None:
    """Refuse to ask for a password where it could be read on the way.

    Raises:
        InsecureAddress: the page was asked for over plain http, and not from this machine.
    """
    settings: Settings = request.app.state.services.settings
    public = urlsplit(settings.public_url)
    host = request.headers.get("host", "")
    secure = request.url.scheme == "https" or (public.scheme == "https" and host.lower() == public.netloc.lower())
    if not secure and not _is_loopback(request.url.hostname or ""):
        raise InsecureAddress(
            "Nobody can log in here over plain http: passwords could be read on the way. Put TLS in front of the "
            "service, set RECSAAS_PUBLIC_URL to its https address, and use that."
        )


def _own_origins(request: Request) -> frozenset[str]:
    settings: Settings = request.app.state.services.settings
    public = urlsplit(settings.site_url)
    own = {f"{public.scheme}://{public.netloc}"}
    if _is_loopback(request.url.hostname or ""):  # whatever port this process has got
        own.add(f"{request.url.scheme}://{request.headers.get('host', '')}")
    return frozenset(own)


def _is_loopback(host: str) -> bool:
    return (
        host in _LOOPBACK
        or host.endswith(".localhost")
        or (host.startswith("127.") and host[4:].replace(".", "").isdigit())
    )


def _forged() -> CrossSiteRequest:
    return CrossSiteRequest(
        "This was sent by another site, so nothing was done. Open the page here, and send the form again. If it was "
        "this site, its RECSAAS_PUBLIC_URL is not the address that you see."
    )
