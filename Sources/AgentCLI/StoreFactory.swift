import Glibc
import ObjectStorage
import Platform
import Replication
import S3

/// Opens the store that a URL names. No request is made.
enum StoreFactory {
    /// Who waits for the store.
    enum Use {
        /// A person or a script, for a while.
        case command
        /// A service, which asks again by itself.
        case service
    }

    static func open(
        _ url: String,
        executor: ThreadExecutor,
        use: Use = .command,
        log: @escaping StoreLog = LogLines(minimum: 2).storeLog
    ) throws(StoreError) -> any ObjectStore {
        switch try StoreURL.parse(url) {
        case .folder(let path): return FolderStore(root: path, executor: executor)
        case .bucket(let bucket):
            return try S3Store(
                bucket,
                environment: ProcessEnvironment.current,
                policy: use == .service ? .service : .interactive,
                executor: executor,
                log: log
            )
        }
    }
}

/// The environment of this process.
enum ProcessEnvironment {
    /// All variables. Read while the program starts: nothing in it sets any.
    static var current: [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let raw = entry.pointee {
            let sides = String(cString: raw).split(
                separator: "=",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            if sides.count == 2 { variables[String(sides[0])] = String(sides[1]) }
            entry += 1
        }
        return variables
    }
}

extension LogLines {
    /// Lines of a store.
    var storeLog: StoreLog {
        { level, message, values in
            let translated: (ReplicationLog) -> Void = { log in
                switch level {
                case .debug: log(.debug, message, values)
                case .info: log(.info, message, values)
                case .warning: log(.warning, message, values)
                }
            }
            translated(function)
        }
    }
}
