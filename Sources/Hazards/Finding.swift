/// How bad a finding is, and, for a whole report, the worst of them (DESIGN §9).
package enum Verdict: Int, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Nothing to do.
    case ok
    /// Risky, or a set-up that costs something else than data.
    case warn
    /// Data may be lost, and nothing here says that it cannot.
    case high
    /// Proof that processes do not share memory or locks.
    case fatal

    package static func < (a: Verdict, b: Verdict) -> Bool { a.rawValue < b.rawValue }

    package var description: String {
        switch self {
        case .ok: "ok"
        case .warn: "warn"
        case .high: "high"
        case .fatal: "fatal"
        }
    }

    /// True when the doctor's exit code has to be 9.
    package var isUnsafe: Bool { self >= .high }
}

/// One thing that was found, and what to do about it.
package struct Finding: Sendable, Hashable {
    /// What kind of finding it is. docs/HAZARDS.md has a paragraph for each.
    package enum Code: String, Sendable, Hashable, CaseIterable {
        case fileSystem = "file-system"
        case mountOptions = "mount-options"
        case fileMount = "file-mount"
        case hardLinks = "hard-links"
        case symbolicLink = "symbolic-link"
        case deviceMismatch = "device-mismatch"
        case secondMount = "second-mount"
        case missingDatabase = "missing-database"
        case permissions
        case freeSpace = "free-space"
        case descriptorLimit = "descriptor-limit"
        case watchLimit = "watch-limit"
        case journalMode = "journal-mode"
        case lockingMode = "locking-mode"
        case autoVacuum = "auto-vacuum"
        case sqliteVersion = "sqlite-version"
        case litestream
        case longReader = "long-reader"
        case walSize = "wal-size"
        case walIndex = "wal-index"
        case walReset = "wal-reset"
        case openers
        case missingLocks = "missing-locks"
        case otherWAL = "other-wal"
        case replacedFile = "replaced-file"
        case otherSuperblock = "other-superblock"
        case otherKernel = "other-kernel"
        case otherAgent = "other-agent"
        case locksIgnored = "locks-ignored"
        case environment
    }

    /// What kind of finding it is.
    package var code: Code
    /// How bad it is.
    package var verdict: Verdict
    /// What was found, with the file or process concerned.
    package var message: String
    /// What to do; empty when there is nothing to do.
    package var remedy: String

    /// A finding.
    package init(_ code: Code, _ verdict: Verdict, _ message: String, remedy: String = "") {
        self.code = code
        self.verdict = verdict
        self.message = message
        self.remedy = remedy
    }
}

extension [Finding] {
    /// The worst of them.
    package var verdict: Verdict { map(\.verdict).max() ?? .ok }

    /// Worst first; findings of one verdict stay in order.
    package var worstFirst: [Finding] {
        enumerated().sorted { ($1.element.verdict, $0.offset) < ($0.element.verdict, $1.offset) }
            .map(\.element)
    }
}
