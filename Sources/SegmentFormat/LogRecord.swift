package import Bytes

/// How a commit changed a page, and how its content is stored.
package enum PageChange: Hashable, Sendable {
    /// The content is the result.
    case whole
    /// The content is the pre-image XOR the result.
    case xor
    /// The database shrank below the page. The content, if kept, is the pre-image, for undo.
    case removed(hasContent: Bool)

    /// Whether the page takes content from the segment's content stream.
    package var hasContent: Bool {
        switch self {
        case .whole, .xor: true
        case .removed(let hasContent): hasContent
        }
    }

    /// Whether the page is gone after the commit.
    package var isRemoval: Bool {
        if case .removed = self { true } else { false }
    }
}

/// One page changed by one commit.
package struct PageEntry: Hashable, Sendable {
    /// What happened to it.
    package var change: PageChange
    /// The page.
    package var page: PageNumber
    /// Whether the page lies above the page count before the commit: its pre-image is then zero,
    /// and `preHash` nil.
    package var isNew: Bool
    /// The low 64 bits of the pre-image's page hash, when known.
    package var preHash: UInt64?
    /// The low 64 bits of the result's page hash; zero for a removal.
    package var resultHash: UInt64

    /// An entry.
    package init(
        change: PageChange,
        page: PageNumber,
        isNew: Bool = false,
        preHash: UInt64?,
        resultHash: UInt64
    ) {
        self.change = change
        self.page = page
        self.isNew = isNew
        self.preHash = preHash
        self.resultHash = resultHash
    }
}

/// One commit; its page entries come before it.
package struct CommitRecord: Hashable, Sendable {
    /// The commit's number.
    package var txid: TXID
    /// The database's page count after the commit.
    package var pageCount: UInt32
    /// The digest of the state after the commit, when known.
    package var digest: DatabaseDigest?
    /// The last time at which the commit was not there yet.
    package var notSeenAt: Timestamp
    /// The first time at which it was.
    package var seenAt: Timestamp
    /// How many page entries belong to the commit; the encoder fills it in.
    package var entryCount: UInt32
    /// The commit's last frame in the WAL; zero when unknown.
    package var lastFrame: FrameIndex
    /// Whether the commit stands for a gap: not a commit of the application, but the difference
    /// between two states.
    package var isBridge: Bool

    /// A commit.
    package init(
        txid: TXID,
        pageCount: UInt32,
        digest: DatabaseDigest?,
        notSeenAt: Timestamp,
        seenAt: Timestamp,
        entryCount: UInt32 = 0,
        lastFrame: FrameIndex = 0,
        isBridge: Bool = false
    ) {
        self.txid = txid
        self.pageCount = pageCount
        self.digest = digest
        self.notSeenAt = notSeenAt
        self.seenAt = seenAt
        self.entryCount = entryCount
        self.lastFrame = lastFrame
        self.isBridge = isBridge
    }
}

/// One record of a log segment's meta stream.
package enum LogRecord: Hashable, Sendable {
    /// A page of the commit that follows.
    case page(PageEntry)
    /// The commit that the page records before it belong to.
    case commit(CommitRecord)
}
