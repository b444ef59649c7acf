"""Error codes with their statuses, and the documents that S3 answers with."""

from xml.sax.saxutils import escape

from wire import Response

STATUS = {
    "AccessDenied": 403, "AuthorizationHeaderMalformed": 400, "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409, "ConditionalRequestConflict": 409, "EntityTooLarge": 400,
    "EntityTooSmall": 400, "ExpiredToken": 400, "InternalError": 500, "InvalidAccessKeyId": 403,
    "InvalidArgument": 400, "InvalidBucketName": 400, "InvalidDigest": 400, "InvalidPart": 400,
    "InvalidPartOrder": 400, "InvalidRange": 416, "InvalidRequest": 400, "InvalidToken": 400,
    "InvalidURI": 400, "KeyTooLongError": 400, "MalformedXML": 400, "MethodNotAllowed": 405,
    "MissingContentLength": 411, "NoSuchBucket": 404, "NoSuchKey": 404, "NoSuchUpload": 404,
    "NotImplemented": 501, "PermanentRedirect": 301, "PreconditionFailed": 412,
    "QuotaExceeded": 403, "RequestTimeTooSkewed": 403, "RequestTimeout": 400,
    "ServiceUnavailable": 503, "SignatureDoesNotMatch": 403, "SlowDown": 503,
    "TemporaryRedirect": 307, "XAmzContentSHA256Mismatch": 400,
}
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class S3Error(Exception):
    """An answer that is an error."""

    def __init__(self, code, message, extra=None, headers=(), status=None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.extra = extra or {}
        self.headers = list(headers)
        self.status = status or STATUS[code]

    def response(self, resource, request_id):
        response = Response(
            self.status, self.headers, self.document(resource, request_id), "application/xml"
        )
        response.code = self.code
        return response

    def document(self, resource, request_id):
        return document(
            "Error",
            [("Code", self.code), ("Message", self.message), *self.extra.items(),
             ("Resource", resource), ("RequestId", request_id)],
            namespace=None,
        )


def element(name, content):
    """One element; content is text, a list of (name, content), or an Element's own text."""
    if isinstance(content, list):
        inner = "".join(element(*child) for child in content)
    else:
        inner = escape(str(content))
    return f"<{name}>{inner}</{name}>"


def document(name, children, namespace=NAMESPACE):
    inner = "".join(element(*child) for child in children)
    opening = f'<{name} xmlns="{namespace}">' if namespace else f"<{name}>"
    return (f"{DECLARATION}{opening}{inner}</{name}>").encode("utf-8", "surrogateescape")


def xml(name, children, status=200, headers=()):
    return Response(status, headers, document(name, children), "application/xml")
