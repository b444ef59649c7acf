"""Checks AWS Signature Version 4 of a request, recomputed from the bytes on the wire.

Written from the published description of the algorithm, for service s3: the path is encoded
once, and neither dots nor slashes in it are touched.
"""

import calendar
import hashlib
import hmac
import re
import time

from answers import S3Error

UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
SKEW_LIMIT = 900
EMPTY = hashlib.sha256(b"").hexdigest()
# What the transport may change on the way, so a careful client leaves it out.
NEVER_SIGNED = {
    "authorization", "user-agent", "expect", "transfer-encoding", "connection",
    "accept-encoding", "content-length", "x-amzn-trace-id",
}
# What changes the meaning of a request, so a careful client signs it.
ALWAYS_SIGNED = {"host", "content-md5", "content-type", "range"}
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*"
    r"Signature=([0-9a-f]{64})$"
)


def decode(text):
    """The bytes that a percent-encoded text stands for; '+' is a plus sign."""
    raw, out, i = text.encode("latin-1"), bytearray(), 0
    while i < len(raw):
        if raw[i] == 0x25:
            try:
                out.append(int(raw[i + 1 : i + 3].decode("ascii"), 16))
            except ValueError:
                raise S3Error("InvalidURI", "a percent sign without two digits") from None
            i += 3
        else:
            out.append(raw[i])
            i += 1
    return bytes(out)


def encode(data, keep=b""):
    return "".join(
        chr(byte) if byte in UNRESERVED or byte in keep else f"%{byte:02X}" for byte in data
    )


def query_pairs(query):
    """The (name, value) pairs of a raw query, decoded, in the order of the request."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((decode(name), decode(value)))
    return pairs


def canonical_request(request, signed, payload_hash):
    pairs = sorted((encode(name), encode(value)) for name, value in query_pairs(request.query))
    headers = ""
    for name in signed:
        values = [re.sub(r" +", " ", value.strip()) for value in request.values(name)]
        headers += f"{name}:{','.join(values)}\n"
    return "\n".join([
        request.method,
        encode(decode(request.path), keep=b"/"),
        "&".join(f"{name}={value}" for name, value in pairs),
        headers,
        ";".join(signed),
        payload_hash,
    ])


def signature(secret, amz_date, region, canonical):
    def mac(key, text):
        return hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()

    scope = f"{amz_date[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{digest}"
    key = mac(("AWS4" + secret).encode(), amz_date[:8])
    for part in (region, "s3", "aws4_request"):
        key = mac(key, part)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), text


class Verifier:
    """The server's idea of who may ask, when, and for which region."""

    def __init__(self, settings):
        self.settings = settings

    def check(self, request, region, is_tls):
        """Raises an S3Error unless the request's head is signed rightly; returns the payload
        hash that the body has to have, or None when the client declared it unsigned."""
        authorization = request.get("authorization")
        if authorization is None:
            raise S3Error("AccessDenied", "the request is not signed")
        found = AUTHORIZATION.match(authorization)
        if found is None or len(request.values("authorization")) != 1:
            raise S3Error(
                "AuthorizationHeaderMalformed", "the Authorization header is not one of V4"
            )
        credential, names, given = found.groups()
        parts = credential.split("/")
        if len(parts) != 5 or parts[3:] != ["s3", "aws4_request"]:
            raise S3Error("AuthorizationHeaderMalformed", f"the scope {credential} is malformed")
        access_key, scope_date, scope_region = parts[:3]
        amz_date = self._date(request, scope_date)
        if scope_region != region:
            raise S3Error(
                "AuthorizationHeaderMalformed",
                f"The authorization header is malformed; the region '{scope_region}' is wrong; "
                f"expecting '{region}'",
                extra={"Region": region}, headers=[("x-amz-bucket-region", region)],
            )
        identity = self._identity(access_key, request)
        signed = names.split(";")
        self._signed_headers(request, signed)
        payload_hash = self._payload_hash(request, is_tls)
        canonical = canonical_request(request, signed, payload_hash)
        expected, text = signature(identity["secret_key"], amz_date, region, canonical)
        if not hmac.compare_digest(expected, given):
            raise S3Error(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
                extra={
                    "AWSAccessKeyId": access_key, "StringToSign": text,
                    "CanonicalRequest": canonical, "SignatureProvided": given,
                },
            )
        if identity.get("denied"):
            raise S3Error("AccessDenied", "Access Denied")
        return None if payload_hash == "UNSIGNED-PAYLOAD" else payload_hash

    def _date(self, request, scope_date):
        amz_date = request.get("x-amz-date") or ""
        if not re.fullmatch(r"\d{8}T\d{6}Z", amz_date):
            raise S3Error("AccessDenied", "x-amz-date is missing or malformed")
        if amz_date[:8] != scope_date:
            raise S3Error(
                "AuthorizationHeaderMalformed", "the scope's date is not that of x-amz-date"
            )
        asked = calendar.timegm(time.strptime(amz_date, "%Y%m%dT%H%M%SZ"))
        now = time.time() + self.settings["clock_offset"]
        if abs(asked - now) > SKEW_LIMIT:
            raise S3Error(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                extra={
                    "RequestTime": amz_date,
                    "ServerTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                    "MaxAllowedSkewMilliseconds": str(SKEW_LIMIT * 1000),
                },
            )
        return amz_date

    def _identity(self, access_key, request):
        for identity in self.settings["identities"]:
            if identity["access_key"] == access_key:
                break
        else:
            raise S3Error(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                extra={"AWSAccessKeyId": access_key},
            )
        token = request.get("x-amz-security-token")
        if identity.get("expired"):
            raise S3Error("ExpiredToken", "The provided token has expired.")
        if token != identity.get("token"):
            raise S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.")
        return identity

    def _signed_headers(self, request, signed):
        present = {name for name, _ in request.headers}
        if signed != sorted(set(signed)) or any(name != name.lower() for name in signed):
            raise S3Error("AuthorizationHeaderMalformed", "SignedHeaders are not in order")
        must = {name for name in present if name.startswith("x-amz-")} | {"host"}
        if self.settings["pedantic"]:
            must |= present & ALWAYS_SIGNED
            must |= {name for name in present if name.startswith("if-")}
            odd = NEVER_SIGNED & set(signed)
            if odd:
                raise S3Error("AccessDenied", f"headers that must not be signed: {sorted(odd)}")
        missing = must - set(signed)
        if missing or len(request.values("host")) != 1:
            raise S3Error(
                "AccessDenied", "There were headers present in the request which were not signed",
                extra={"HeadersNotSigned": ", ".join(sorted(missing))},
            )
        absent = set(signed) - present
        if absent:
            raise S3Error("SignatureDoesNotMatch", f"signed but not sent: {sorted(absent)}")

    def _payload_hash(self, request, is_tls):
        text = request.get("x-amz-content-sha256")
        if text is None:
            raise S3Error("InvalidRequest", "Missing required header: x-amz-content-sha256")
        if text.startswith("STREAMING-"):
            raise S3Error("NotImplemented", "aws-chunked bodies are not taken")
        if text == "UNSIGNED-PAYLOAD":
            if self.settings["pedantic"] and not is_tls:
                raise S3Error("InvalidRequest", "an unsigned payload needs TLS")
            return text
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise S3Error("InvalidArgument", "x-amz-content-sha256 is not a SHA-256")
        return text
