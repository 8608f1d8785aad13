"""Settings to compare, each against the configuration as it is committed."""

from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.settings.composition import as_override

JAVA_OPTIONS = "torchserve.environment.JAVA_TOOL_OPTIONS"
PROPERTIES = "torchserve.properties"
LOG_CONFIG = "torchserve.log_config"
QUIET_LOG = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="STDOUT" target="SYSTEM_OUT"><PatternLayout pattern="%m%n"/></Console>
    <File name="model_log" fileName="${env:LOG_LOCATION:-logs}/model_log.log">
      <PatternLayout pattern="%d{ISO8601} [%-5p] %t %c - %m%n"/>
    </File>
  </Appenders>
  <Loggers>
    <Logger name="MODEL_LOG" level="warn" additivity="false"><AppenderRef ref="model_log"/></Logger>
    <Root level="warn"><AppenderRef ref="STDOUT"/></Root>
  </Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class Variant:
    """A stack's settings that differ from the committed configuration."""

    name: str
    overrides: tuple[str, ...]


def _java(options: str) -> tuple[str, ...]:
    return (as_override(f"+{JAVA_OPTIONS}", options),)


def _property(name: str, value: object) -> tuple[str, ...]:
    return (f"++{PROPERTIES}.{name}={value}",)


def variants(directory: Path) -> list[Variant]:
    """The variants; writes a configuration of logs into the folder."""
    quiet = directory / "quiet-log4j2.xml"
    quiet.write_text(QUIET_LOG)
    return [
        Variant("as configured", ()),
        Variant(
            "Netty threads: 2",
            (*_property("number_of_netty_threads", 2), *_property("netty_client_threads", 2)),
        ),
        Variant("log: TorchServe's own", (f"{LOG_CONFIG}=null",)),
        Variant("log: warnings alone", (as_override(LOG_CONFIG, str(quiet)),)),
        Variant("no system metrics", _property("disable_system_metrics", "true")),
        Variant("-XX:+UseSerialGC", _java("-XX:+UseSerialGC")),
        Variant("-XX:TieredStopAtLevel=1", _java("-XX:TieredStopAtLevel=1")),
        # Tells how much two rows of the same settings differ.
        Variant("as configured, again", ()),
    ]
