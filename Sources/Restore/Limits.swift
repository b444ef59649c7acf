/// The numbers that bound a restore.
package enum Limits {
    /// The memory that a restore uses unless told otherwise, in bytes.
    package static let defaultMemoryBytes = 512 << 20
    /// The least memory that a restore can be told to use.
    package static let minMemoryBytes = 32 << 20
    /// Requests in flight unless told otherwise.
    package static let defaultParallelism = 8
    /// The most requests in flight.
    package static let maxParallelism = 64
    /// How many generations a line of descent may have.
    package static let maxLineage = 64
    /// Objects of at most this size are fetched with one request.
    static let wholeObjectBytes: UInt64 = 4 << 20
    /// The most bytes of an object that one request asks for.
    static let requestBytes: UInt64 = 4 << 20
    /// Decoded pages of a log segment that are handed over at once.
    static let decodedBatchBytes = 1 << 20
    /// How often a broken download goes on where it ended.
    static let downloadAttempts = 6
    /// The first pause between two attempts, in nanoseconds; it doubles each time.
    static let firstPauseNanoseconds: Int64 = 100_000_000
    /// How often a restore plans anew because an object vanished or is damaged.
    static let planAttempts = 8
    /// How often a check looks at a generation of which something seems to be missing or damaged.
    static let looks = 5
    /// The first pause between two looks, in nanoseconds: longer than one request that deletes.
    package static let lookPauseNanoseconds: Int64 = 1_000_000_000
    /// An uncertainty of a commit's time that is worth a note, in milliseconds.
    static let notableIntervalMilliseconds: Int64 = 2000
    /// How far a target time may lie in the future, for clocks that differ, in milliseconds.
    static let clockSkewMilliseconds: Int64 = 60_000
}
