"""The dashboard's files, read once and served from memory. They need no token: they hold no data.

Invariant: only files that lie in the folder at the start are served, each under its own address.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Response

FOLDER = Path(__file__).with_name("dashboard")
PAGE = "index.html"
PREFIX = "/dashboard/"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class DashboardFile:
    """One file as it is answered."""

    content: bytes
    media_type: str


def dashboard_files(folder: Path = FOLDER) -> dict[str, DashboardFile]:
    """Return every file of the dashboard by its address; the page itself also stands at `/`."""
    files = {
        PREFIX + path.relative_to(folder).as_posix(): DashboardFile(
            path.read_bytes(), _TYPES[path.suffix]
        )
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES
    }
    return {"/": files.pop(PREFIX + PAGE), **files}


def dashboard_router(files: dict[str, DashboardFile]) -> APIRouter:
    """Return the routes that answer with these files; they are no part of the API's description."""
    router = APIRouter(include_in_schema=False)
    for address, file in files.items():
        router.add_api_route(address, _answer_with(file), methods=["GET"])
    return router


def _answer_with(file: DashboardFile) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(file.content, media_type=file.media_type)

    return answer
