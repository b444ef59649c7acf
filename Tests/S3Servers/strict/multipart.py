"""Multipart uploads."""

import hashlib
import os
import re
import time

from answers import S3Error, xml
from objects import Upload
from rules import check_conditions, kept_headers, parse_document
from wire import Response

PART_LIMIT = 10_000


def create(shelf, settings, bucket, call):
    identifier = hashlib.sha256(f"{shelf.next_serial()} {os.urandom(8)}".encode()).hexdigest()[:32]
    upload = Upload(identifier, call.key, kept_headers(call.request), time.time())
    with shelf.lock:
        bucket.uploads[identifier] = upload
    return xml("InitiateMultipartUploadResult", [
        ("Bucket", bucket.name), ("Key", call.key), ("UploadId", identifier),
    ])


def find(bucket, call):
    upload = bucket.uploads.get(call.query["uploadId"])
    if upload is None or upload.key != call.key:
        raise S3Error(
            "NoSuchUpload", "The specified multipart upload does not exist.",
            extra={"UploadId": call.query["uploadId"]},
        )
    return upload


def part(shelf, settings, bucket, call):
    number = call.query.get("partNumber", "")
    if not re.fullmatch(r"[1-9]\d*", number) or int(number) > PART_LIMIT:
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000")
    body = call.request.body
    size, etag = body.size, f'"{body.md5.hex()}"'
    with shelf.lock:
        upload = find(bucket, call)
        path = os.path.join(shelf.staging, f"{upload.identifier}-{number}")
        body.move_to(path)
        upload.parts[int(number)] = (path, size, etag)
    return Response(200, [("ETag", etag)])


def named_parts(call):
    """(number, etag) in the order of the document."""
    root = parse_document(call.request.body.data(), "CompleteMultipartUpload")
    parts = []
    for child in root:
        values = {e.tag.rpartition("}")[2]: e.text or "" for e in child}
        if child.tag.rpartition("}")[2] != "Part" or not values.get("PartNumber", "").isdigit():
            raise S3Error("MalformedXML", "a part without a number")
        parts.append((int(values["PartNumber"]), values.get("ETag", "")))
    if not parts:
        raise S3Error("MalformedXML", "no parts")
    return parts


def complete(shelf, settings, bucket, call):
    parts = named_parts(call)
    with shelf.lock:
        upload = find(bucket, call)
        check_conditions(settings, bucket, call)
        if [number for number, _ in parts] != sorted({number for number, _ in parts}):
            raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.")
        chosen = []
        for number, etag in parts:
            stored = upload.parts.get(number)
            if stored is None or etag.strip('"') != stored[2].strip('"'):
                raise S3Error("InvalidPart", f"part {number} was not uploaded with this ETag")
            chosen.append(stored)
        sizes = [size for _, size, _ in chosen]
        if any(size < settings["min_part_size"] for size in sizes[:-1]):
            raise S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum")
        if settings["equal_parts"] and len(set(sizes[:-1])) > 1:
            raise S3Error("InvalidPart", "all parts but the last must have one size")
        digest = hashlib.md5(b"".join(bytes.fromhex(e.strip('"')) for _, _, e in chosen))
        etag = f'"{digest.hexdigest()}-{len(chosen)}"'
        body = Assembled(chosen)
        shelf.put(bucket, upload.key, body, etag, upload.headers)
        forget(bucket, upload)
    return xml("CompleteMultipartUploadResult", [
        ("Location", f"/{bucket.name}/{call.key}"), ("Bucket", bucket.name), ("Key", call.key),
        ("ETag", etag),
    ])


class Assembled:
    """The parts of an upload as one body."""

    def __init__(self, parts):
        self.parts = parts
        self.size = sum(size for _, size, _ in parts)

    def move_to(self, path):
        first = self.parts[0][0]
        with open(first, "ab") as out:
            for other, _, _ in self.parts[1:]:
                with open(other, "rb") as f:
                    while piece := f.read(1 << 20):
                        out.write(piece)
        os.replace(first, path)


def forget(bucket, upload):
    del bucket.uploads[upload.identifier]
    for path, _, _ in upload.parts.values():
        if os.path.exists(path):
            os.remove(path)


def abort(shelf, settings, bucket, call):
    with shelf.lock:
        forget(bucket, find(bucket, call))
    return Response(204)


def list_parts(shelf, settings, bucket, call):
    with shelf.lock:
        upload = find(bucket, call)
        parts = sorted(upload.parts.items())
    return xml("ListPartsResult", [
        ("Bucket", bucket.name), ("Key", upload.key), ("UploadId", upload.identifier),
        ("IsTruncated", "false"),
        *[("Part", [("PartNumber", n), ("ETag", etag), ("Size", size)])
          for n, (_, size, etag) in parts],
    ])
