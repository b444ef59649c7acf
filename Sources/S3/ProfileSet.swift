import Bytes
package import ObjectStorage
package import Platform

/// The profiles of both shared files, merged: what the credentials file says comes first.
struct ProfileSet: Sendable {
    private let configuration: ProfileFile
    private let credentials: ProfileFile

    init(configuration: String, credentials: String) {
        self.configuration = ProfileFile(configuration)
        self.credentials = ProfileFile(credentials)
    }

    /// The settings of a profile; nil when neither file knows it.
    func settings(_ name: String) -> [String: String]? {
        let first = credentials.profile(name)
        let second = configuration.profile(name)
        if first == nil, second == nil { return nil }
        return (second ?? [:]).merging(first ?? [:]) { _, new in new }
    }

    /// The settings of an `sso-session`.
    func session(_ name: String) -> [String: String]? {
        configuration.sections["sso-session \(name)"]
    }
}

/// Reads the shared files anew each time: other tools write them.
package struct SharedFiles: Sendable {
    /// The files' paths, and the home folder.
    package let configurationPath: String
    package let credentialsPath: String
    package let home: String
    private let executor: ThreadExecutor
    private let log: StoreLog

    /// The files that `environment` names, or those in the home folder.
    package init(
        environment: [String: String],
        executor: ThreadExecutor,
        log: @escaping StoreLog
    ) {
        let home = environment["HOME"] ?? ""
        func path(_ name: String, _ standard: String) -> String {
            let named = environment[name].flatMap { $0.isEmpty ? nil : $0 } ?? "~/.aws/\(standard)"
            return named.hasPrefix("~/") ? home + named.dropFirst() : named
        }
        configurationPath = path("AWS_CONFIG_FILE", "config")
        credentialsPath = path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
        self.home = home
        self.executor = executor
        self.log = log
    }

    /// What the files say now. Files that are not there say nothing.
    func read() async throws(CredentialError) -> ProfileSet {
        let configuration = try await text(configurationPath) ?? ""
        let credentials = try await text(credentialsPath)
        if credentials != nil { await warnIfOpen(credentialsPath) }
        return ProfileSet(configuration: configuration, credentials: credentials ?? "")
    }

    /// A file's text; nil when there is none.
    func text(_ path: String) async throws(CredentialError) -> String? {
        let limit = Limits.credentialBytes
        do {
            let bytes = try await executor.run { try FileSystem.contents(path, limit: limit) }
            return bytes.map { String(decoding: $0, as: UTF8.self) }
        } catch {
            throw CredentialError("a file of credentials cannot be read: \(error)")
        }
    }

    /// Runs a blocking function on one of the threads for that.
    func run<T: Sendable>(_ body: @Sendable @escaping () throws -> T) async throws -> T {
        try await executor.run(body)
    }

    private func warnIfOpen(_ path: String) async {
        let status = try? await executor.run { try FileSystem.status(path) }
        guard let status, status.permissions & 0o077 != 0 else { return }
        log(
            .warning,
            "others may read the file of credentials; chmod 600 it",
            [("path", path)]
        )
    }
}
