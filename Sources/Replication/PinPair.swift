import Bytes
import SQLiteAccess
import WALFormat

/// The two read transactions that leapfrog (DESIGN §4.1), and the protocol that says when.
///
/// The older pin can only be dropped with the protocol's permit.
struct PinPair: ~Copyable {
    private var olderConnection: Connection
    /// The other one: opened when it is needed, and closed again where nothing happens for long.
    private var newerConnection: Connection?
    private let path: String
    private(set) var isNewerHeld = false
    var rules: PinProtocol

    /// Takes over a connection that holds the first pin.
    init(holding: Connection, rules: PinProtocol) {
        olderConnection = holding
        path = holding.path
        self.rules = rules
    }

    /// Closes the connection that holds no pin, until it is needed.
    mutating func releaseSpare() {
        if !isNewerHeld { newerConnection = nil }
    }

    /// Takes the newer pin. False when it was not to be had or its place is not certain; the
    /// caller tries again later.
    mutating func takeNewer(_ index: WALIndex) throws(SQLiteError) -> Bool {
        precondition(!isNewerHeld, "never more than two pins")
        guard let before = index.header() else { return false }
        let connection: Connection
        if let newerConnection {
            connection = newerConnection
        } else {
            connection = try Connection(path: path, role: .pin)
            newerConnection = connection
        }
        do {
            try connection.beginRead()
        } catch  where error.isBusy {
            return false
        }
        guard let info = index.checkpointInfo(), let after = index.header(),
            rules.tookNewer(before: before, after: after, backfilled: info.nBackfill)
        else {
            try connection.rollback()
            return false
        }
        isNewerHeld = true
        return true
    }

    /// Gives the newer pin back, if it is held.
    mutating func giveNewerBack() throws(SQLiteError) {
        guard isNewerHeld else { return }
        try newerConnection?.rollback()
        isNewerHeld = false
        rules.gaveNewerBack()
    }

    /// Drops the older pin if the rules allow it.
    mutating func dropOlderIfPermitted() throws(SQLiteError) -> Bool {
        guard isNewerHeld, let newer = newerConnection, let permit = rules.permitToDropOlder()
        else { return false }
        try olderConnection.rollback()
        newerConnection = olderConnection
        olderConnection = newer
        isNewerHeld = false
        rules.droppedOlder(permit)
        return true
    }

    /// Looks at the WAL-index. A newer pin that was taken before a reset is given back.
    mutating func observe(_ header: WALIndexHeader) throws(SQLiteError) -> PinProtocol.Observation {
        let observation = rules.observe(header)
        if isNewerHeld, rules.newer == nil {
            try newerConnection?.rollback()
            isNewerHeld = false
        }
        return observation
    }
}
