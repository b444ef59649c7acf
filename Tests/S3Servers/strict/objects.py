"""Buckets and objects: an index in memory, contents as files of a folder.

A key that is a plain relative path lies in the folder under that path, so that tests can read
the store's folder as they read one of `file://`; other keys lie below `.odd`.
"""

import hashlib
import os
import threading
import time

from answers import S3Error


class StoredObject:
    """One object's content and headers."""

    def __init__(self, path, size, etag, headers, modified):
        self.path = path
        self.size = size
        self.etag = etag
        self.headers = headers
        self.modified = modified


class Upload:
    """A multipart upload that is not complete."""

    def __init__(self, identifier, key, headers, started):
        self.identifier = identifier
        self.key = key
        self.headers = headers
        self.started = started
        self.parts = {}


class Bucket:
    """A bucket in one region."""

    def __init__(self, name, region, folder):
        self.name = name
        self.region = region
        self.folder = folder
        self.objects = {}
        self.uploads = {}


class Shelf:
    """All buckets. One lock: requests that change something are ordered."""

    def __init__(self, folder):
        self.folder = folder
        self.staging = os.path.join(folder, ".staging")
        os.makedirs(self.staging, exist_ok=True)
        self.lock = threading.RLock()
        self.buckets = {}
        self.serial = 0

    def create(self, name, region):
        with self.lock:
            folder = os.path.join(self.folder, name)
            os.makedirs(folder, exist_ok=True)
            self.buckets[name] = Bucket(name, region, folder)
            return self.buckets[name]

    def bucket(self, name):
        found = self.buckets.get(name)
        if found is None:
            raise S3Error(
                "NoSuchBucket", "The specified bucket does not exist", extra={"BucketName": name}
            )
        return found

    def next_serial(self):
        with self.lock:
            self.serial += 1
            return self.serial

    def path(self, bucket, key):
        """Where the content of `key` lies; folders are made."""
        parts = key.split("/")
        plain = all(
            part not in ("", ".", "..") and not part.startswith(".odd")
            and len(part.encode("utf-8", "surrogateescape")) < 200 and "\0" not in part
            for part in parts
        )
        if plain:
            path = os.path.join(bucket.folder, *parts)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if not os.path.isdir(path):
                    return path
            except (FileExistsError, NotADirectoryError, OSError):
                pass
        folder = os.path.join(bucket.folder, ".odd")
        os.makedirs(folder, exist_ok=True)
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return os.path.join(folder, name)

    def put(self, bucket, key, body, etag, headers):
        """Stores a body; the caller holds the lock."""
        size = body.size
        old = bucket.objects.get(key)
        path = old.path if old else self.path(bucket, key)
        body.move_to(path)
        bucket.objects[key] = StoredObject(path, size, etag, headers, time.time())

    def delete(self, bucket, key):
        """Removes an object, if it is there; the caller holds the lock."""
        found = bucket.objects.pop(key, None)
        if found is None:
            return False
        os.remove(found.path)
        folder = os.path.dirname(found.path)
        while folder != bucket.folder:
            try:
                os.rmdir(folder)
            except OSError:
                break
            folder = os.path.dirname(folder)
        return True
