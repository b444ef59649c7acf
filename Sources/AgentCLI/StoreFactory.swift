import Configuration
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
        _ place: StoreURL,
        credentials: ReplicaCredentials? = nil,
        executor: ThreadExecutor,
        use: Use = .command,
        log: @escaping StoreLog = LogLines(minimum: 2).storeLog
    ) throws(StoreError) -> any ObjectStore {
        switch place {
        case .folder(let path): return FolderStore(root: path, executor: executor)
        case .bucket(let bucket):
            return try S3Store(
                bucket,
                environment: environment(with: credentials),
                policy: use == .service ? .service : .interactive,
                executor: executor,
                log: log
            )
        }
    }

    /// The process's environment, with keys of the configuration file's before what it says.
    private static func environment(with credentials: ReplicaCredentials?) -> [String: String] {
        var environment = ProcessEnvironment.current
        guard let credentials else { return environment }
        environment["AWS_ACCESS_KEY_ID"] = credentials.accessKeyID
        environment["AWS_SECRET_ACCESS_KEY"] = credentials.secret
        environment["AWS_SESSION_TOKEN"] = credentials.sessionToken
        return environment
    }
}

/// The environment of this process.
enum ProcessEnvironment {
    /// All variables, as they were when they were first asked for: nothing in the program sets any.
    static let current = read()

    /// The control socket that `$HIGHWATER_SOCKET` names, where the configuration file names none.
    static func socket(_ settings: Settings) -> String? {
        guard !settings.namesSocket, let path = current["HIGHWATER_SOCKET"], !path.isEmpty else {
            return nil
        }
        return path
    }

    private static func read() -> [String: String] {
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
