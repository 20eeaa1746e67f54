"""For machines that watch the engine: liveness, readiness, metrics."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from squareoff.web.answers import HealthOut, ReadinessOut
from squareoff.web.context import TheDesk

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
METRICS_PATH = "/metrics"

router = APIRouter()


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> HealthOut:
    """Say that the process answers. Needs no token."""
    return HealthOut()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=ReadinessOut, responses={503: {"model": ReadinessOut}})
async def readyz(desk: TheDesk) -> Response:
    """Say whether exits would go out now, and where not, why. Needs no token."""
    because = desk.not_ready_because()
    answer = ReadinessOut(ready=not because, because=list(because))
    return JSONResponse(answer.model_dump(), status_code=503 if because else 200)


@router.get(METRICS_PATH, response_class=Response)
async def metrics(desk: TheDesk) -> Response:
    """Show all metrics in Prometheus' text format. Needs a token unless `api.metrics_public`."""
    return Response(desk.metrics_text(), headers={"Content-Type": METRICS_TYPE})


@router.get(f"/api/v1{METRICS_PATH}", response_class=Response)
async def metrics_of_the_api(desk: TheDesk) -> Response:
    """Show the same as `/metrics`, always with the token."""
    return await metrics(desk)
