"""The S3 operations on buckets and single objects."""

import email.utils
import re

import listing
import multipart
from answers import S3Error, document, xml
from rules import ECHOED, check_conditions, kept_headers, parse_document
from wire import Response

SINGLE_LIMIT = 5 << 30
DELETE_LIMIT = 1000


class Call:
    """A request that was understood: bucket, key, query, and which operation it is."""

    def __init__(self, request, bucket, key, query):
        self.request = request
        self.bucket_name = bucket
        self.key = key
        self.query = query
        self.operation = self._operation()

    @property
    def resource(self):
        return f"/{self.bucket_name}" + (f"/{self.key}" if self.key else "")

    def _operation(self):
        method, query = self.request.method, self.query
        if not self.bucket_name:
            return "list-buckets" if method == "GET" else None
        if self.key == "":
            return self._bucket_operation(method, query)
        if "uploadId" in query:
            return {
                "PUT": "upload-part", "POST": "complete", "DELETE": "abort", "GET": "list-parts",
            }.get(method)
        if method == "POST":
            return "create-upload" if "uploads" in query else None
        if set(query) - {"x-id", "partNumber", "response-content-type"}:
            return None
        return {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}.get(method)

    @staticmethod
    def _bucket_operation(method, query):
        if method == "GET" and "uploads" in query:
            return "list-uploads"
        if method == "GET" and "location" in query:
            return "location"
        if method == "POST" and "delete" in query:
            return "delete-many"
        known = {
            "list-type", "prefix", "delimiter", "max-keys", "start-after", "encoding-type",
            "continuation-token", "fetch-owner", "marker", "x-id",
        }
        if set(query) - known:
            return None
        return {"GET": "list", "HEAD": "head-bucket", "PUT": "create-bucket"}.get(method)


def perform(shelf, settings, call):
    """Carries out a call whose signature and digests were right."""
    if call.operation is None:
        raise S3Error("NotImplemented", "A header or parameter implies an unknown function")
    if call.operation == "list-buckets":
        names = [("Bucket", [("Name", name)]) for name in sorted(shelf.buckets)]
        return xml("ListAllMyBucketsResult", [("Buckets", names)])
    if call.operation == "create-bucket":
        if call.bucket_name in shelf.buckets:
            raise S3Error("BucketAlreadyOwnedByYou", "the bucket is yours already")
        shelf.create(call.bucket_name, settings["region"])
        return Response(200)
    bucket = shelf.bucket(call.bucket_name)
    if call.key is not None and len(call.key.encode("utf-8", "surrogateescape")) > 1024:
        raise S3Error("KeyTooLongError", "Your key is too long")
    return OPERATIONS[call.operation](shelf, settings, bucket, call)


def head_bucket(shelf, settings, bucket, call):
    return Response(200, [("x-amz-bucket-region", bucket.region)])


def location(shelf, settings, bucket, call):
    return Response(200, (), document("LocationConstraint", []), "application/xml")


def put(shelf, settings, bucket, call):
    request = call.request
    if "x-amz-copy-source" in {name for name, _ in request.headers}:
        raise S3Error("NotImplemented", "copies are not made here")
    if request.body.size > SINGLE_LIMIT:
        raise S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum size")
    etag = f'"{request.body.md5.hex()}"'
    headers = kept_headers(request)
    with shelf.lock:
        check_conditions(settings, bucket, call)
        shelf.put(bucket, call.key, request.body, etag, headers)
    echoed = [pair for pair in headers if pair[0] in ECHOED]
    return Response(200, [("ETag", etag), *echoed])


def parse_range(text, size):
    """(start, length) of a Range header; None for one that is not understood."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
        length = end - start + 1
    if length <= 0 or start >= size:
        raise S3Error(
            "InvalidRange", "The requested range is not satisfiable",
            extra={"ActualObjectSize": str(size)}, headers=[("Content-Range", f"bytes */{size}")],
        )
    return start, length


def get(shelf, settings, bucket, call):
    request = call.request
    with shelf.lock:
        found = bucket.objects.get(call.key)
        if found is None:
            raise S3Error("NoSuchKey", "The specified key does not exist.",
                          extra={"Key": call.key})
        file = open(found.path, "rb")
    try:
        match = request.get("if-match")
        if match is not None and match not in ("*", found.etag, found.etag.strip('"')):
            raise S3Error("PreconditionFailed", "the object is another one",
                          extra={"Condition": "If-Match"})
        headers = [
            ("ETag", found.etag),
            ("Last-Modified", email.utils.formatdate(found.modified, usegmt=True)),
            ("Accept-Ranges", "bytes"), *found.headers,
        ]
        wanted = request.get("range")
        part = parse_range(wanted, found.size) if wanted else None
    except S3Error:
        file.close()
        raise
    status, (start, length) = 200, (0, found.size)
    if part is not None:
        status, (start, length) = 206, part
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{found.size}"))
    if request.method == "HEAD":
        file.close()
        return Response(status, [*headers, ("Content-Length", str(length))])
    return Response(status, headers, (file, start, length))


def delete(shelf, settings, bucket, call):
    with shelf.lock:
        shelf.delete(bucket, call.key)
    return Response(204)


def delete_many(shelf, settings, bucket, call):
    request = call.request
    if request.get("content-md5") is None and not any(
        name.startswith("x-amz-checksum-") for name, _ in request.headers
    ):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5")
    root = parse_document(request.body.data(), "Delete")
    keys, quiet = [], False
    for child in root:
        name = child.tag.rpartition("}")[2]
        if name == "Quiet":
            quiet = (child.text or "") == "true"
        if name == "Object":
            keys += [e.text or "" for e in child if e.tag.rpartition("}")[2] == "Key"]
    if not 1 <= len(keys) <= DELETE_LIMIT:
        raise S3Error("MalformedXML", f"{len(keys)} keys")
    results = []
    denied = re.compile(settings["undeletable"]) if settings["undeletable"] else None
    for key in keys:
        if denied is not None and denied.search(key):
            results.append(("Error", [
                ("Key", key), ("Code", "AccessDenied"), ("Message", "Access Denied"),
            ]))
            continue
        with shelf.lock:
            shelf.delete(bucket, key)
        if not quiet:
            results.append(("Deleted", [("Key", key)]))
    return xml("DeleteResult", results)



OPERATIONS = {
    "head-bucket": head_bucket, "location": location, "put": put, "get": get, "head": get,
    "delete": delete, "delete-many": delete_many, "list": listing.list_objects,
    "list-uploads": listing.list_uploads, "create-upload": multipart.create,
    "upload-part": multipart.part, "complete": multipart.complete, "abort": multipart.abort,
    "list-parts": multipart.list_parts,
}
