import Bytes
import SQLiteAccess
import WALFormat

/// The two read transactions that leapfrog (DESIGN §4.1), and the protocol that says when.
///
/// The older pin can only be dropped with the protocol's permit.
struct PinPair: ~Copyable {
    private var olderConnection: Connection
    private var newerConnection: Connection
    private(set) var isNewerHeld = false
    var rules: PinProtocol

    /// Takes over a connection that holds the first pin, and an idle one.
    init(holding: Connection, idle: Connection, rules: PinProtocol) {
        olderConnection = holding
        newerConnection = idle
        self.rules = rules
    }

    /// Takes the newer pin. False when it was not to be had or its place is not certain; the
    /// caller tries again later.
    mutating func takeNewer(_ index: WALIndex) throws(SQLiteError) -> Bool {
        precondition(!isNewerHeld, "never more than two pins")
        guard let before = index.header() else { return false }
        do {
            try newerConnection.beginRead()
        } catch  where error.isBusy {
            return false
        }
        guard let info = index.checkpointInfo(), let after = index.header(),
            rules.tookNewer(before: before, after: after, backfilled: info.nBackfill)
        else {
            try newerConnection.rollback()
            return false
        }
        isNewerHeld = true
        return true
    }

    /// Gives the newer pin back, if it is held.
    mutating func giveNewerBack() throws(SQLiteError) {
        guard isNewerHeld else { return }
        try newerConnection.rollback()
        isNewerHeld = false
        rules.gaveNewerBack()
    }

    /// Drops the older pin if the rules allow it.
    mutating func dropOlderIfPermitted() throws(SQLiteError) -> Bool {
        guard isNewerHeld, let permit = rules.permitToDropOlder() else { return false }
        try olderConnection.rollback()
        swap(&olderConnection, &newerConnection)
        isNewerHeld = false
        rules.droppedOlder(permit)
        return true
    }

    /// Looks at the WAL-index. A newer pin that was taken before a reset is given back.
    mutating func observe(_ header: WALIndexHeader) throws(SQLiteError) -> PinProtocol.Observation {
        let observation = rules.observe(header)
        if isNewerHeld, rules.newer == nil {
            try newerConnection.rollback()
            isNewerHeld = false
        }
        return observation
    }
}
