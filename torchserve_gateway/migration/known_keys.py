"""Keys of config.properties that TorchServe 0.12.0 knows, by their fate.

Source: org.pytorch.serve.util.ConfigManager, and `load_properties` of ts/model_server.py for LAUNCHERS.
"""

# TorchServe's address -> our setting.
ADDRESSES = {
    "inference_address": "inference_url",
    "management_address": "management_url",
    "metrics_address": "metrics_url",
}
PORTS = ("grpc_inference_port", "grpc_management_port")
# Each has a rule of its own in torchserve_config.py.
MAPPED = (
    *(*ADDRESSES, *PORTS, "model_store", "allowed_urls", "disable_token_authorization"),
    *("vmargs", "service_envelope"),
)

NUMBERS = frozenset(
    {
        *("default_workers_per_model", "default_response_timeout", "default_startup_timeout"),
        *("unregister_model_timeout", "number_of_netty_threads", "netty_client_threads", "job_queue_size"),
        *("number_of_gpu", "max_request_size", "max_response_size", "initial_worker_port"),
        *("initial_distribution_port", "io_ratio", "metric_time_interval", *PORTS),
        *("grpc_inference_max_connection_age_ms", "grpc_management_max_connection_age_ms"),
        *("grpc_inference_max_connection_age_grace_ms", "grpc_management_max_connection_age_grace_ms"),
    }
)

# Kept below torchserve.properties; the text is a remark for the table.
KEPT = {
    **dict.fromkeys(NUMBERS - set(PORTS), ""),
    **dict.fromkeys(("async_logging", "prefer_direct_buffer", "decode_input_request", "use_native_io"), ""),
    **dict.fromkeys(("ipex_enable", "ipex_gpu_enable", "cpu_launcher_enable", "cpu_launcher_args"), ""),
    **dict.fromkeys(("limit_max_image_pixels", "blacklist_env_vars", "token_expiration_min"), ""),
    **dict.fromkeys(("ts_header_key_sequence_id", "ts_header_key_sequence_start"), ""),
    **dict.fromkeys(("ts_header_key_sequence_end", "ts_open_inference_protocol"), ""),
    **dict.fromkeys(("disable_system_metrics", "system_metrics_cmd", "default_service_handler"), ""),
    "model_metrics_auto_detect": "",
    "install_py_dep_per_model": "",
    "debug": "",
    "max_request_size": "the gateway's own limit, gateway.max_request_bytes, follows",
    "metrics_mode": "",
    "enable_metrics_api": "",
    "default_workers_per_model": "deploys say their own number, model.workers",
    "default_response_timeout": "deploys say their own, model.response_timeout",
    "default_startup_timeout": "deploys say their own, model.startup_timeout",
    "cors_allowed_origin": "browsers now reach the gateway: set gateway.cors.allow_origins, too",
    "cors_allowed_methods": "",
    "cors_allowed_headers": "",
}
# Kept as absolute paths: our TorchServe runs in a folder of its own.
KEPT_PATHS = {
    "metrics_config": "",
    "cpp_log_config": "",
    "workflow_store": "the gateway serves no workflows",
}

_TLS = "clients meet the gateway, which calls TorchServe on this machine without TLS"
_TLS_PEM = f"{_TLS}; give the file to gateway.tls"
_TLS_STORE = f"{_TLS}; it takes PEM files, gateway.tls.certificate and gateway.tls.key: openssl pkcs12 -in"
_RECORD = "the record of deploys names what TorchServe loads; deploy each archive once, see below"
_OURS = "set by our start of TorchServe"
OVERRIDDEN = {
    "enable_model_api": "true: deploys register and retire versions with it",
    "enable_envvars_config": "false: the TS_ variables of this shell are read now and written out",
    "use_env_allowed_urls": "no effect without enable_envvars_config",
    "grpc_inference_address": "the host of torchserve.inference_url",
    "grpc_management_address": "the host of torchserve.management_url",
    "enable_grpc_ssl": _TLS,
    "keystore": f"{_TLS_STORE} <keystore>",
    "keystore_pass": _TLS,
    "keystore_type": _TLS,
    "certificate_file": f"{_TLS_PEM}.certificate",
    "private_key_file": f"{_TLS_PEM}.key",
    "load_models": _RECORD,
    "models": _RECORD,
    "model_snapshot": _RECORD,
    "model_server_home": f"{_OURS}: the installed package",
    "python": f"{_OURS}: the Python of the installed package",
    "version": _OURS,
    "tsConfigFile": _OURS,
}
REFUSED = {
    "plugins_path": "ours starts Java directly, with TorchServe's own classes alone",
}
# Read by the `torchserve` command, not by Java.
LAUNCHERS = ("vmargs", "plugins_path")
# Written into the file by TorchServe's snapshots.
SNAPSHOT_KEYS = ("tsConfigFile", "python", "version")

ALL = frozenset({*MAPPED, *KEPT, *KEPT_PATHS, *OVERRIDDEN, *REFUSED})

# Environment variables that enable_envvars_config reads: TS_ and the key in capitals, but for these.
_OTHERWISE = {
    "token_expiration_min": "TS_TOKEN_EXPIRATION_TIME_MIN",
    **{key: key.upper() for key in ALL if key.startswith("ts_")},
}
_NO_VARIABLE = frozenset(
    {
        *("use_native_io", "io_ratio", "metric_time_interval", "enable_envvars_config", "model_snapshot"),
        *("models", "system_metrics_cmd", "use_env_allowed_urls", *SNAPSHOT_KEYS, *LAUNCHERS),
    }
)
VARIABLES = {_OTHERWISE.get(key, f"TS_{key.upper()}"): key for key in sorted(ALL - _NO_VARIABLE)}
