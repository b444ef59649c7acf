import ArgumentParser
import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import Restore

/// Which state is meant: the options that restore, rewind and others share.
struct TargetOptions: ParsableArguments {
    @Option(name: .both("txid"), help: "The state after this commit: 16 hexadecimal digits.")
    var txid: String?

    @Option(name: .both("before-txid"), help: "The state just before this commit.")
    var beforeTXID: String?

    @Option(
        name: .both("timestamp"),
        help: "The state at this time: RFC 3339 with a zone, or how long ago, as in 5m or '1h ago'."
    )
    var timestamp: String?

    @Option(
        name: .both("writer"),
        help: "After a fork, follow the history in which this writer tag wrote last."
    )
    var writer: String?

    func target(now: Timestamp) throws -> RestoreTarget {
        guard [txid, beforeTXID, timestamp].filter({ $0 != nil }).count <= 1 else {
            throw ValidationError("Give only one of -txid, -before-txid and -timestamp.")
        }
        if let txid { return .txid(try TXIDArgument.parse(txid)) }
        if let beforeTXID { return .before(try TXIDArgument.parse(beforeTXID)) }
        guard let timestamp else { return .latest }
        return .timestamp(try TimeArgument.parse(timestamp, now: now))
    }

    func writerTag() throws -> WriterTag? {
        guard let writer else { return nil }
        guard let tag = WriterTag(hex: writer) else {
            throw ValidationError("A writer tag is 16 hexadecimal digits, not '\(writer)'.")
        }
        return tag
    }

    func validate() throws {
        _ = try target(now: .now)
        _ = try writerTag()
    }
}
