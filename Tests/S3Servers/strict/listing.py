"""Listings: objects (version 2 and the old version 1), and uploads."""

import base64
import time
import urllib.parse

from answers import S3Error, xml


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def quoter(query):
    encoding = query.get("encoding-type")
    if encoding is None:
        return lambda text: text
    if encoding != "url":
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return lambda text: urllib.parse.quote(
        text.encode("utf-8", "surrogateescape"), safe="/*-._"
    )


def order(key):
    return key.encode("utf-8", "surrogateescape")


def count(query, settings):
    text = query.get("max-keys", "1000")
    if not text.isdigit():
        raise S3Error("InvalidArgument", "max-keys is not a number")
    return min(int(text), settings["page_size"])


def list_objects(shelf, settings, bucket, call):
    query = call.query
    quoted = quoter(query)
    limit = count(query, settings)
    second = query.get("list-type") == "2"
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token = query.get("continuation-token")
    after = query.get("start-after" if second else "marker", "")
    if token is not None:
        try:
            after = base64.urlsafe_b64decode(token).decode("utf-8", "surrogateescape")
        except ValueError:
            raise S3Error("InvalidArgument", "The continuation token is incorrect") from None
    contents, prefixes, last, truncated = page(shelf, bucket, prefix, delimiter, after, limit)
    children = [("Name", bucket.name), ("Prefix", quoted(prefix)), ("MaxKeys", limit),
                ("IsTruncated", "true" if truncated else "false")]
    if delimiter:
        children.append(("Delimiter", quoted(delimiter)))
    if "encoding-type" in query:
        children.append(("EncodingType", "url"))
    if second:
        children.append(("KeyCount", len(contents) + len(prefixes)))
        if "start-after" in query:
            children.append(("StartAfter", quoted(query["start-after"])))
        if token is not None:
            children.append(("ContinuationToken", token))
        if truncated:
            next_token = base64.urlsafe_b64encode(order(last)).decode()
            children.append(("NextContinuationToken", next_token))
    elif truncated:
        children.append(("NextMarker", quoted(last)))
    for key, stored in contents:
        children.append(("Contents", [
            ("Key", quoted(key)), ("LastModified", stamp(stored.modified)),
            ("ETag", stored.etag), ("Size", stored.size), ("StorageClass", "STANDARD"),
        ]))
    children += [("CommonPrefixes", [("Prefix", quoted(name))]) for name in prefixes]
    return xml("ListBucketResult", children)


def page(shelf, bucket, prefix, delimiter, after, limit):
    """One page: objects, common prefixes, the last name of the page, whether more follow."""
    with shelf.lock:
        keys = sorted((key for key in bucket.objects if key.startswith(prefix)), key=order)
        known = dict(bucket.objects)
    contents, prefixes, last = [], [], ""
    for key in keys:
        if order(key) <= order(after):
            continue
        name = key
        if delimiter:
            position = key.find(delimiter, len(prefix))
            if position >= 0:
                name = key[: position + len(delimiter)]
                if name in prefixes or (after and name == after):
                    continue
        if len(contents) + len(prefixes) >= limit:
            return contents, prefixes, last, limit > 0
        if name is not key and name != key:
            prefixes.append(name)
        else:
            contents.append((key, known[key]))
        last = name
    return contents, prefixes, last, False


def list_uploads(shelf, settings, bucket, call):
    query = call.query
    quoted = quoter(query)
    prefix = query.get("prefix", "")
    limit = min(int(query.get("max-uploads", "1000")), settings["page_size"])
    marker = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    with shelf.lock:
        uploads = sorted(
            (u for u in bucket.uploads.values() if u.key.startswith(prefix)),
            key=lambda u: (order(u.key), u.identifier),
        )
    rest = [
        u for u in uploads
        if (order(u.key), u.identifier) > (order(marker[0]), marker[1] or "\x7f" * 8)
        or not marker[0]
    ]
    shown = rest[:limit]
    children = [("Bucket", bucket.name), ("MaxUploads", limit),
                ("IsTruncated", "true" if len(rest) > limit else "false")]
    if "encoding-type" in query:
        children.append(("EncodingType", "url"))
    if len(rest) > limit and shown:
        children += [("NextKeyMarker", quoted(shown[-1].key)),
                     ("NextUploadIdMarker", shown[-1].identifier)]
    for upload in shown:
        children.append(("Upload", [
            ("Key", quoted(upload.key)), ("UploadId", upload.identifier),
            ("Initiated", stamp(upload.started)), ("StorageClass", "STANDARD"),
        ]))
    return xml("ListMultipartUploadsResult", children)
