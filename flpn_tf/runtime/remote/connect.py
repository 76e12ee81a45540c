"""From a URL to a connection."""

import re
from urllib.parse import unquote, urlsplit

from flpn_tf.errors import InputError
from flpn_tf.runtime.remote.transport import Transport

_REST = re.compile(
    r"https?://[^/?#]+/(?:[^?#]*/)?v1/models/(?P<name>[^/:?#]+)(?:/versions/(?P<version>[0-9]{1,19}))?"
)
_GRPC = re.compile(
    r"grpc(?P<secure>s?)://(?P<address>[^/?#]+)/(?P<name>[^/:?#]+)(?:/(?P<version>[0-9]{1,19}))?"
)
_USER = re.compile(r"(?<=://)([^/]*)@")
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?", re.IGNORECASE)  # a name; the second, an address of IPv6
_LAST_VERSION = 2**63 - 1  # int64 in both protocols


def connect(url: str) -> tuple[str, str, Transport]:
    """The URL without a user and password, for messages; the model's name; a connection to it.

    Raises:
        InputError: no URL of a model, or a package that the protocol needs is not installed.
    """
    url = str(url)
    user, shown = _USER.search(url), _USER.sub("", url, count=1)
    shown = shown.removesuffix(":predict").rstrip("/")  # as copied from a curl line
    rest, grpc = _REST.fullmatch(shown), _GRPC.fullmatch(shown)
    match = rest or grpc
    if match is None or not url.isprintable() or " " in url:
        forms = "http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME"
        raise InputError(f"a server's model is {forms}. Received: {shown!r}")
    _check_address(shown)
    version = None if match["version"] is None else int(match["version"])
    if version is not None and version > _LAST_VERSION:
        raise InputError(f"a model's version is at most {_LAST_VERSION}. Received: {shown}")
    if rest:
        from flpn_tf.runtime.remote.over_rest import RestTransport

        return shown, match["name"], RestTransport(shown, user and unquote(user[1]))
    if user:
        raise InputError(f"gRPC knows no user and password; leave them out of the URL. Received: {shown}")
    from flpn_tf.runtime.remote.over_grpc import GrpcTransport

    secure = match["secure"] == "s"
    return shown, match["name"], GrpcTransport(shown, match["address"], match["name"], version, secure)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # refuses labels that are empty or too long
        if not _HOST.fullmatch(host) or parts.port == 0:
            raise ValueError(f"{parts.netloc!r} is no host and port")
    except ValueError as error:
        raise InputError(f"{url} names no server: {error}") from error
