"""OONI's failure strings (df-007) and what kind of failure each is.

In: the string of a step, None where it succeeded. Out: a `Kind`. Strings that we do not know are
`OTHER` and never speak for blocking. df-007 spells `ssl_unknown_autority`; measurements and
OONI's code write `ssl_unknown_authority`, so that is what we write; both are read.
"""

from __future__ import annotations

from enum import StrEnum

CONNECTION_REFUSED = "connection_refused"
CONNECTION_RESET = "connection_reset"
EOF = "eof_error"
TIMEOUT = "generic_timeout_error"
HOST_UNREACHABLE = "host_unreachable"
NETWORK_UNREACHABLE = "network_unreachable"
NXDOMAIN = "dns_nxdomain_error"
NO_ANSWER = "dns_no_answer"
ANDROID_NO_DATA = "android_dns_cache_no_data"
DNS_REFUSED = "dns_refused_error"
DNS_SERVFAIL = "dns_servfail_error"
DNS_BOGON = "dns_bogon_error"
BAD_HOSTNAME = "ssl_invalid_hostname"
BAD_CERTIFICATE = "ssl_invalid_certificate"
UNKNOWN_AUTHORITY = "ssl_unknown_authority"


class Kind(StrEnum):
    """What a failure says happened."""

    NONE = "none"  # the step succeeded
    RESET = "reset"  # an answer that ends the connection: RST, or an early end of stream
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # ICMP said so
    NO_NAME = "no_name"  # a resolver answered that there is no such name, or no address for it
    DNS_ERROR = "dns_error"  # a resolver answered that it will not, or cannot
    CERTIFICATE = "certificate"  # not valid for the name, the time, or our list of authorities
    OTHER = "other"


_KINDS = {
    CONNECTION_REFUSED: Kind.REFUSED,
    CONNECTION_RESET: Kind.RESET,
    "connection_aborted": Kind.RESET,
    EOF: Kind.RESET,
    TIMEOUT: Kind.TIMEOUT,
    "timed_out": Kind.TIMEOUT,
    "tcp_timed_out_error": Kind.TIMEOUT,
    "connection_timed_out": Kind.TIMEOUT,
    "http_timeout": Kind.TIMEOUT,
    "dns_lookup_timeout": Kind.TIMEOUT,
    "response_never_received": Kind.TIMEOUT,
    HOST_UNREACHABLE: Kind.UNREACHABLE,
    NETWORK_UNREACHABLE: Kind.UNREACHABLE,
    NXDOMAIN: Kind.NO_NAME,
    "dns_name_error": Kind.NO_NAME,  # the test helper's word for it
    "dns_non_recoverable_failure": Kind.NO_NAME,
    NO_ANSWER: Kind.NO_NAME,
    ANDROID_NO_DATA: Kind.NO_NAME,
    DNS_REFUSED: Kind.DNS_ERROR,
    DNS_SERVFAIL: Kind.DNS_ERROR,
    "dns_server_failure": Kind.DNS_ERROR,
    "dns_server_misbehaving": Kind.DNS_ERROR,
    "dns_temporary_failure": Kind.DNS_ERROR,
    BAD_HOSTNAME: Kind.CERTIFICATE,
    BAD_CERTIFICATE: Kind.CERTIFICATE,
    UNKNOWN_AUTHORITY: Kind.CERTIFICATE,
    "ssl_unknown_autority": Kind.CERTIFICATE,
}


def kind(failure: str | bool | None) -> Kind:
    """The kind of a failure string; False, None and "" are no failure.

    The test helper appends `_error` to strings that have none (`connection_refused_error`).
    """
    if not failure:
        return Kind.NONE
    if failure is True:
        return Kind.OTHER
    known = _KINDS.get(failure)
    if known is None:
        known = _KINDS.get(failure.removesuffix("_error"), Kind.OTHER)
    return known
