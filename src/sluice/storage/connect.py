"""Opens object stores with what the environment says, so that no other code handles credentials."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from sluice.errors import MissingError
from sluice.storage.faults import one_sentence, store_errors

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, HTTPStore, RetryConfig, S3Store

    AnyStore: TypeAlias = S3Store | GCSStore | AzureStore | HTTPStore


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may hang and how often it is tried again.

    `connect_s` and `read_s` bound the wait for a connection and for the next bytes; a whole request has no
    other bound, as a large shard may stream for hours. Server errors (5xx), lost connections and stalls are
    tried again `retries` times, waiting from `backoff_s` doubling up to `backoff_max_s`, within `total_s`.
    Eight retries ride out the half minute that S3 asks clients to tolerate when it slows them down.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    retries: int = 8
    backoff_s: float = 0.1
    backoff_max_s: float = 10.0
    total_s: float = 120.0


@dataclass(frozen=True, slots=True)
class _Place:
    """What a kind of store reads from the environment."""

    prefix: str  # of its variables
    enough: tuple[str, ...]  # any one of these is a way to sign (or to say that nothing need be signed)
    endpoints: tuple[str, ...]
    fix: str


_PLACES = {
    "s3": _Place(
        "AWS_",
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_METADATA_ENDPOINT",
            "AWS_SKIP_SIGNATURE",
        ),
        ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_REGION=… (profiles and ~/.aws are not read; "
        "AWS_SKIP_SIGNATURE=true for a public bucket, "
        "AWS_METADATA_ENDPOINT=http://169.254.169.254 for the role of an EC2 machine)",
    ),
    "gs": _Place(
        "GOOGLE_",
        (
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_BEARER_TOKEN",
            "GOOGLE_SKIP_SIGNATURE",
        ),
        ("GOOGLE_BASE_URL",),
        "export GOOGLE_APPLICATION_CREDENTIALS=/path/key.json "
        "(or GOOGLE_SERVICE_ACCOUNT_KEY; GOOGLE_SKIP_SIGNATURE=true for a public bucket)",
    ),
    "az": _Place(
        "AZURE_",
        (
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_MASTER_KEY",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_TOKEN",
            "AZURE_STORAGE_CLIENT_ID",
            "AZURE_CLIENT_ID",
            "AZURE_MSI_ENDPOINT",
            "AZURE_IDENTITY_ENDPOINT",
            "AZURE_STORAGE_USE_EMULATOR",
            "AZURE_SKIP_SIGNATURE",
        ),
        ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        "export AZURE_STORAGE_ACCOUNT_NAME=… AZURE_STORAGE_ACCOUNT_KEY=… "
        "(or AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_TOKEN, AZURE_CLIENT_ID with its secret)",
    ),
}


def bucket_store(scheme: str, bucket: str, patience: Patience) -> AnyStore:
    """The store for a bucket under the present environment; `MissingError` without credentials.

    A store keeps its connections, so it is remembered until the environment changes.
    """
    place = _PLACES[scheme]
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith(place.prefix)))
    if not any(os.environ.get(name) for name in place.enough):
        raise MissingError(
            f"no credentials for {scheme}:// in the environment",
            where=f"{scheme}://{bucket}",
            fix=place.fix,
        )
    from obstore.exceptions import BaseError

    try:
        return _bucket_store(scheme, bucket, patience, settings)
    except (BaseError, OSError, ValueError) as error:  # no request was made yet: what it was told is wrong
        raise MissingError(
            f"the credentials for {scheme}:// in the environment do not do ({one_sentence(error)})",
            where=f"{scheme}://{bucket}",
            fix=place.fix,
        ) from error


@lru_cache(maxsize=64)
def _bucket_store(
    scheme: str, bucket: str, patience: Patience, settings: tuple[tuple[str, str], ...]
) -> AnyStore:
    from obstore.store import AzureStore, GCSStore, S3Store

    environment = dict(settings)
    plain = any(environment.get(name, "").startswith("http://") for name in _PLACES[scheme].endpoints)
    emulated = environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true")
    client = _client(patience, allow_http=plain or emulated)
    retry = _retry(patience)
    if scheme == "s3":
        return S3Store(bucket, client_options=client, retry_config=retry)
    if scheme == "gs":
        return GCSStore(bucket, client_options=client, retry_config=retry)
    return AzureStore(bucket, client_options=client, retry_config=retry)


@lru_cache(maxsize=256)
def http_store(base: str, patience: Patience) -> HTTPStore:
    """A client for everything below `base`, or for the one file that `base` names."""
    from obstore.store import HTTPStore

    with store_errors(base):
        return HTTPStore(
            base, client_options=_client(patience, allow_http=True), retry_config=_retry(patience)
        )


def _client(patience: Patience, *, allow_http: bool) -> ClientConfig:
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=patience.connect_s),
        "read_timeout": timedelta(seconds=patience.read_s),
        "timeout": timedelta(days=1),
    }
    if allow_http:  # else left to the environment (AWS_ALLOW_HTTP and its like)
        client["allow_http"] = True
    return client


def _retry(patience: Patience) -> RetryConfig:
    return {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.total_s),
        "backoff": {
            "init_backoff": timedelta(seconds=patience.backoff_s),
            "max_backoff": timedelta(seconds=patience.backoff_max_s),
            "base": 2,
        },
    }
