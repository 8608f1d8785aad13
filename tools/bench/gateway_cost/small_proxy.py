"""The usual gateway in front of TorchServe: FastAPI, a form, httpx."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, UploadFile


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keeps a client."""
    async with httpx.AsyncClient(base_url=os.environ["TORCHSERVE"]) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(file: UploadFile) -> Any:
    """Passes an image on."""
    response = await app.state.client.post("/predictions/genre", content=await file.read())
    return response.json()
