"""`RemoteMonitor`: the logs of each epoch for a server."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from nyala.training.callback import Callback, Logs


class RemoteMonitor(Callback):
    """Sends the logs of each epoch to `root + path` by an HTTP POST: as the form field `field`, or as a JSON body.

    A server that cannot be reached is a warning; training goes on. Raises ValueError for a root that is no HTTP address.

    Example:
        >>> import nyala
        >>> nyala.callbacks.RemoteMonitor(root="http://localhost:8000", send_as_json=True).path
        '/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not root.startswith(("http://", "https://")):
            raise ValueError(f"root is an address that begins with http:// or https://, but got {root!r}.")
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = {"epoch": epoch, **{name: _plain(value) for name, value in (logs or {}).items()}}
        text = json.dumps(values)
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **(self.headers or {})}
        request = urllib.request.Request(self.root + self.path, body.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10):
                pass
        except OSError as error:
            warnings.warn(f"The monitor at {self.root} could not be reached: {error}.", stacklevel=2)


def _plain(value: Any) -> Any:
    return np.asarray(value).tolist() if hasattr(value, "__array__") else value
