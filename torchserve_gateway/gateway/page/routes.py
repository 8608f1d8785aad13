"""The web page at `/`, its files, and sample pictures of each model."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.names import QueryModel
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.version import __version__

FILES = Path(__file__).parent / "static"
# Formats that browsers show.
SHOWN = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})
MAX_SAMPLES = 8
# Nothing inline, nothing from elsewhere. Thumbnails are blobs; no text can become markup.
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept, and compared by its ETag at each use: an update of the gateway updates the page.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The static files, with the headers of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 304 for an ETag that is still its own."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def routes(settings: ProjectSettings, models: ServedModels) -> APIRouter:
    """`GET /` and below `/page`; without the page `/` redirects to Swagger UI."""
    router = APIRouter(include_in_schema=False)
    if not settings.gateway.page.enabled:
        router.add_api_route("/", lambda: RedirectResponse("/docs"))
        return router
    files = PageFiles(directory=FILES)

    @router.get("/")
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @router.get("/page/about")
    async def about(response: Response) -> dict[str, object]:
        response.headers["Cache-Control"] = "no-store"
        return _about(settings, models)

    @router.get("/page/{name}")
    async def file(request: Request, name: str) -> Response:
        return await files.get_response(name, request.scope)

    return router


def sample_routes(settings: ProjectSettings) -> APIRouter:
    """Sample pictures, which may be private as a model's answers are: callers need the right to predict."""
    router = APIRouter(include_in_schema=False)
    default, models = settings.gateway.default_model, settings.models
    shown = {name: _samples(model) for name, model in models.items()} if settings.gateway.page.enabled else {}

    @router.get("/page/samples")
    async def names(model: QueryModel = None) -> list[str]:
        return list(shown.get(model or default, {}))

    @router.get("/page/samples/{name}")
    async def sample(name: str, model: QueryModel = None) -> Response:
        file = shown.get(model or default, {}).get(name)
        if file is None:
            raise HTTPException(404)
        return FileResponse(file, headers={**HEADERS, "Cache-Control": "private, max-age=3600"})

    return router


def _about(settings: ProjectSettings, models: ServedModels) -> dict[str, object]:
    gateway = settings.gateway
    limits = [gateway.max_request_bytes, *(each.max_request_bytes for each in models.configured.values())]
    return {
        "model": gateway.default_model,
        "keys": gateway.auth.enabled,
        # The largest: which models there are, and their own limits, is not for all to know.
        "max_request_bytes": max(limits),
        "version": __version__,
    }


def _samples(model: ModelSettings) -> dict[str, Path]:
    """Pictures of the golden check by file name."""
    pictures = [each.image for each in model.samples if each.image and each.image.suffix.lower() in SHOWN]
    return {path.name: path for path in pictures[:MAX_SAMPLES] if path.is_file()}
