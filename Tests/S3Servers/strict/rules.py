"""What several operations share: conditions, digests, documents, headers that are kept."""

import base64
import xml.etree.ElementTree as ElementTree

from answers import S3Error

KEPT = ("content-type", "content-encoding", "cache-control", "content-disposition")
ECHOED = (
    "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class", "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key-md5",
)


def check_conditions(settings, bucket, call):
    """If-None-Match and If-Match of a write; the caller holds the lock."""
    none_match = call.request.get("if-none-match")
    match = call.request.get("if-match")
    if none_match is None and match is None:
        return
    if settings["conditional"] == "ignored":
        return
    if settings["conditional"] == "unsupported" or none_match not in (None, "*"):
        raise S3Error("NotImplemented", "A header you provided implies unsupported functionality")
    found = bucket.objects.get(call.key)
    if none_match is not None and found is not None:
        raise S3Error(
            "PreconditionFailed", "At least one of the preconditions you specified did not hold",
            extra={"Condition": "If-None-Match"},
        )
    if match is not None:
        if found is None:
            raise S3Error("NoSuchKey", "The specified key does not exist.")
        if match not in (found.etag, found.etag.strip('"')):
            raise S3Error(
                "PreconditionFailed", "the object is another one", extra={"Condition": "If-Match"}
            )


def kept_headers(request):
    return [
        (name, value) for name, value in request.headers
        if name in KEPT or name in ECHOED or name.startswith("x-amz-meta-")
    ]


def parse_document(data, name):
    if b"<!" in data.replace(b"<!--", b""):
        raise S3Error("MalformedXML", "no DTD here")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise S3Error("MalformedXML", f"The XML you provided was not well-formed: {error}")
    if root.tag.rpartition("}")[2] != name:
        raise S3Error("MalformedXML", f"{name} was expected")
    return root


def check_md5(request):
    """Content-MD5 against the body that arrived."""
    text = request.get("content-md5")
    if text is None:
        return
    try:
        expected = base64.b64decode(text, validate=True)
    except ValueError:
        expected = b""
    if len(expected) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified is not valid.")
    if expected != request.body.md5:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
