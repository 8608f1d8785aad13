"""The files in docker/ that say again what the code says elsewhere."""

from pathlib import Path

from torchserve_gateway.commands.file_browser import nginx_config
from torchserve_gateway.settings.composition import PROJECT_ROOT


def directives(config: str) -> list[str]:
    return [line for line in config.splitlines() if line and not line.startswith("#")]


def test_nginx_is_configured_in_compose_as_by_make_run_nginx_filebrowser() -> None:
    written = nginx_config(Path("/archives"), "5002", Path("/tmp"), None)
    committed = (PROJECT_ROOT / "docker/file_browser.conf").read_text()
    assert directives(committed) == directives(written)
