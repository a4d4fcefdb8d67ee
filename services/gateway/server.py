"""The server is the kernel's."""

from services.kernel.http.server import HttpServer as HttpServer
