"""What every application of ours stands on."""

from quart import Quart
from quart.wrappers import BaseRequestWebsocket
from werkzeug.routing import MapAdapter


class App(Quart):
    """Goes by method and path alone. Quart also reads Host (as a name of the DNS) and the query (as UTF-8) to find a route, before
    any error handler, and answers 500 where it cannot.
    """

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Never fails, whatever the request carries."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "",
            request.root_path,
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
            query_args=request.query_string.decode(errors="replace"),
        )
