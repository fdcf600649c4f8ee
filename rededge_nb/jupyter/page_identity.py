"""Who may see the dashboard's page: voila loads the class of this module."""

from __future__ import annotations

from jupyter_server.auth.identity import PasswordIdentityProvider
from tornado.web import RequestHandler


class HeaderFirst(PasswordIdentityProvider):
    """Accepts the token of the Authorization header, whatever the address says.

    jupyter-server-proxy sends this header. The address of a page that is opened with `?token=…` has the token of the
    Jupyter server, which voila would take for a wrong one of its own, and redirect the browser without end.
    """

    def get_token(self, handler: RequestHandler) -> str | None:
        """The token of a request."""
        header = self.auth_header_pat.match(handler.request.headers.get("Authorization", ""))
        return header.group(2) if header else super().get_token(handler)
