/// The numbers that bound what the S3 client does.
package enum Limits {
    /// Keys in a page of a listing.
    package static let listPageKeys = 1000
    /// Pages of a listing without any object, one after the other. A store may need some to pass
    /// what was deleted, and ends at some time.
    package static let emptyListPages = 5000
    /// Keys in one DeleteObjects request.
    package static let deleteBatchKeys = 1000
    /// Bytes of an XML answer.
    package static let xmlBytes = 8 << 20
    /// Elements in an XML answer.
    package static let xmlElements = 60_000
    /// How deep the elements of an XML answer nest.
    package static let xmlDepth = 16
    /// The longest text of an XML element, in bytes.
    package static let xmlTextBytes = 64 * 1024
    /// Bytes of an object that is fetched whole, without a range.
    package static let wholeObjectBytes = 1 << 30
    /// Bytes of a part of a multipart upload, when nothing else was asked for. A body that is not
    /// longer is sent by one request.
    package static let partBytes = 8 << 20
    /// A body that is known not to be longer is sent by one request, too: it is in memory or in a
    /// local file, and parts would cost four requests more.
    package static let wholeBodyBytes = 32 << 20
    /// The least that S3 takes for a part that is not the last.
    package static let partBytesMin = 5 << 20
    /// The most bytes that the parts of uploads of unknown length grow to.
    package static let growingPartBytesMax = 64 << 20
    /// The most that S3 takes for a part.
    package static let partBytesMax = 5 << 30
    /// Parts of an upload.
    package static let parts = 10_000
    /// Bytes of parts that are in memory at once, per upload.
    package static let uploadBufferBytes = 16 << 20
    /// Requests under way at once, per endpoint.
    package static let concurrentRequests = 16
    /// Seconds between the store's clock and ours that are worth a warning.
    package static let clockWarningSeconds: Int64 = 60
    /// Seconds between the store's clock and ours that signatures are corrected for, at most.
    package static let clockCorrectionSeconds: Int64 = 86_400
    /// Bytes of a credentials document, and of a configuration file.
    package static let credentialBytes = 1 << 20
    /// Bytes of an object that a store may send although a part of it was asked for.
    package static let ignoredRangeBytes = 16 << 20
    /// Attempts to read on after a download broke off.
    package static let resumedReads = 10
}
