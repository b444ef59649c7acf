import Configuration
import Glibc
import ObjectStorage
import Platform
import Replication

@testable import HTTPServer
@testable import Supervision

extension FuzzTarget {
    /// What operators write: the configuration file, and requests at the control socket.
    static let operators = [
        FuzzTarget("configuration", decodeConfiguration),
        FuzzTarget("control", decodeRequest),
    ]

    private static func settings(
        _ text: [UInt8],
        _ environment: [String: String]?
    ) -> Settings? {
        do throws(ConfigurationError) {
            return try Settings.read(text, path: "h.yml", environment: environment)
        } catch {
            promise(!error.description.isEmpty, "an error says something")
            return nil
        }
    }

    /// A file; and what `config show` prints of it, which reads as the same.
    private static func decodeConfiguration(_ bytes: [UInt8]) -> Bool {
        _ = settings(bytes, nil)
        guard var first = settings(bytes, ["HOME": "/root", "KEY": "secret"]) else { return false }
        for database in first.databases {
            if case .file(let path) = database.place { check(path) }
            if case .folder(let folder) = database.place {
                check(folder.path)
                _ = NamePattern.matches("a.db", folder.pattern)
            }
            promise(!database.replicas.isEmpty, "a place to go to")
            for replica in database.replicas where hasSecret(replica.place) { return true }
        }
        let text = first.yaml
        guard let second = settings(Array(text.utf8), nil) else { fatalError(text) }
        if first.logging.level == nil { first.logging.level = "info" }
        if first.logging.type == nil { first.logging.type = "text" }
        promise(second.address == first.address && second.command == first.command, text)
        promise(second.socketPath == first.socketPath && second.logging == first.logging, text)
        promise(first.socketPermissions <= 0o777, text)
        promise(second.socketPermissions == first.socketPermissions, text)
        promise(second.shutdownTime == first.shutdownTime, text)
        let (before, after) = (first.databases.map(bare), second.databases.map(bare))
        promise(before == after, "\(before)\n\(after)")
        return true
    }

    private static func check(_ path: String) {
        promise(path.utf8.first == UInt8(ascii: "/") && !path.utf8.contains(0), path)
    }

    private static func hasSecret(_ place: StoreURL) -> Bool {
        guard case .bucket(let url) = place else { return false }
        return url.options.contains { BucketURL.isSecret($0.name) }
    }

    /// Without lines and keys, which `config show` leaves out.
    private static func bare(_ database: DatabaseSettings) -> DatabaseSettings {
        var bare = database
        bare.line = 0
        for index in bare.replicas.indices {
            bare.replicas[index].line = 0
            bare.replicas[index].credentials = nil
        }
        return bare
    }

    private static let threads = ThreadExecutor(threads: 2)

    /// The control socket of an agent that has ended, so that nothing is begun for anybody.
    private static let control: Control = {
        guard let host = try? ReplicationHost(version: "1", executor: threads, loopThreads: 2)
        else { fatalError("threads for a fleet") }
        let fleet = Fleet(
            FleetHost(
                replication: host,
                persistence: .retry,
                log: { _, _, _ in },
                restore: { _, _ in },
                checkFile: { _, _ in },
                open: { _, _, _ in fatalError("no store is opened") }
            )
        )
        fleet.end(shutdownTime: nil)
        return Control(fleet, process: ProcessFacts(version: "1", pid: 1)) {}
    }()

    /// A request: `METHOD PATH QUERY` in the first line, the body after it.
    private static func decodeRequest(_ bytes: [UInt8]) -> Bool {
        let parts = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        let words = String(decoding: parts[0], as: UTF8.self)
            .split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard words.count > 1 else { return false }
        let request = HTTPServerRequest(
            method: words[0],
            path: words[1],
            query: words.count > 2 ? ["path": words[2]] : [:],
            body: parts.count > 1 ? Array(parts[1]) : []
        )
        let box = AnswerBox()
        Task(executorPreference: threads) {
            box.answer = await control.answer(request)
            box.done.signal()
        }
        box.done.wait()
        guard let answer = box.answer else { fatalError("no answer") }
        let known: [UInt32] = [200, 400, 404, 405, 500, 503, 504]
        promise(known.contains(answer.status), "\(answer.status)")
        promise(String(validating: answer.body, as: UTF8.self) != nil, "an answer is UTF-8")
        // What made sense would have been done, were the agent not about to end.
        return answer.status == 200 || answer.status == 503
    }

    private final class AnswerBox: @unchecked Sendable {
        // Sendable: written before the signal, read after it.
        let done = Semaphore()
        var answer: HTTPServerResponse?
    }
}
