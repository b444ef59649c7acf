"""Makes a bucket with a signed request, without any S3 library."""

import datetime
import hashlib
import hmac
import time
import urllib.error
import urllib.parse
import urllib.request

from packages import Failed


def signed(method, endpoint, path, region, keys, payload=b""):
    """A request with AWS Signature Version 4; `path` holds unreserved characters only."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(payload).hexdigest()
    host = urllib.parse.urlsplit(endpoint).netloc
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\n"
        f"x-amz-date:{now}\n\n{names}\n{digest}"
    )
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    key = ("AWS4" + keys["secret_key"]).encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    mark = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return urllib.request.Request(endpoint + path, data=payload, method=method, headers={
        "x-amz-date": now, "x-amz-content-sha256": digest, "Authorization":
        f"AWS4-HMAC-SHA256 Credential={keys['access_key']}/{scope}, SignedHeaders={names}, "
        f"Signature={mark}",
    })


def create(endpoint, region, name, keys, seconds=60):
    """Makes the bucket; a server that only just started may need some attempts."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(signed("PUT", endpoint, f"/{name}", region, keys)).close()
            return
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return
            problem = f"{error.code} {error.read()[:200]}"
        except OSError as error:
            problem = str(error)
        if time.monotonic() > until:
            raise Failed(f"the bucket could not be made: {problem}")
        time.sleep(0.3)
