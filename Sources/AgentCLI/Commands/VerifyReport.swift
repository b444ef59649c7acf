import Bytes
import Restore

/// What `verify` says.
struct VerifyReport {
    let level: String
    let generations: [BackupVerifier.Report]
    var findings: [BackupVerifier.Finding]
    let restored: [Restored]
    var live: Live?

    init(level: String, _ outcome: BackupCheck.Outcome) {
        self.level = level
        generations = outcome.generations
        findings = outcome.findings
        restored = outcome.restored.map {
            Restored(
                generation: $0.generation.text,
                txid: $0.txid.description,
                digest: $0.digest.description,
                pages: $0.pageCount
            )
        }
    }

    /// A state that the level 'restore' rebuilt.
    struct Restored: Encodable {
        var generation: String
        var txid: String
        var digest: String
        var pages: UInt32
    }

    /// What the level 'live' compared.
    struct Live: Encodable {
        var txid: String?
        var pages: UInt32
        var digest: String
    }

    private struct Document: Encodable {
        struct Item: Encodable {
            var generation: String
            var objects: Int
            var readObjects: Int
            var readBytes: UInt64
            var restorable: [[String]]
            var idle: Int
        }
        struct Problem: Encodable {
            var kind: String
            var object: String
            var message: String
        }
        var version = 1
        var level: String
        var ok: Bool
        var generations: [Item]
        var findings: [Problem]
        var restored: Restored?
        var restoredEach: [Restored]?
        var live: Live?
    }

    func print(json: Bool) throws {
        if json {
            return try JSONOutput.print(
                Document(
                    level: level,
                    ok: findings.isEmpty,
                    generations: generations.map { part in
                        .init(
                            generation: part.generation.text,
                            objects: part.objects,
                            readObjects: part.readObjects,
                            readBytes: part.readBytes,
                            restorable: part.restorable.map {
                                [$0.lowerBound.description, $0.upperBound.description]
                            },
                            idle: part.idle.count
                        )
                    },
                    findings: findings.map {
                        .init(kind: $0.kind.rawValue, object: $0.object, message: $0.message)
                    },
                    restored: restored.last,
                    restoredEach: restored.count > 1 ? restored : nil,
                    live: live
                )
            )
        }
        for part in generations {
            let windows = part.restorable.map { "\($0.lowerBound) to \($0.upperBound)" }
            Swift.print(
                "generation \(part.generation): \(part.objects) objects, \(part.readObjects) read "
                    + "(\(part.readBytes) bytes); restorable: "
                    + (windows.isEmpty ? "nothing" : windows.joined(separator: ", "))
            )
        }
        for restored in restored {
            Swift.print(
                "restored TXID \(restored.txid) of \(restored.generation), "
                    + "\(restored.pages) pages: as recorded"
            )
        }
        if let live, let txid = live.txid {
            Swift.print("the running database is TXID \(txid), \(live.pages) pages: as recorded")
        }
        for finding in findings {
            Swift.print("\(finding.kind.rawValue)  \(finding.object)  \(finding.message)")
        }
        let count = findings.count == 1 ? "1 finding" : "\(findings.count) findings"
        Swift.print(findings.isEmpty ? "ok" : "\(count): the backup is in doubt")
    }
}
