import ArgumentParser
import Configuration
import Glibc
import ObjectStorage
import Platform

/// Where the settings are.
struct ConfigOptions: ParsableArguments {
    @Option(
        name: .both("config"),
        help: "The configuration file; default $HIGHWATER_CONFIG, then /etc/highwater.yml."
    )
    var config: String?

    @Flag(name: .both("no-expand-env"), help: "Take ${NAME} in the configuration file literally.")
    var noExpandEnv = false

    /// Where settings are looked for when nobody says where, the first one first.
    static let defaultPaths = ["/etc/highwater.yml", "/etc/litestream.yml"]

    /// The file that is meant, if there is one.
    func path() throws -> String? {
        if let config { return config }
        for name in ["HIGHWATER_CONFIG", "LITESTREAM_CONFIG"] {
            if let path = ProcessEnvironment.current[name], !path.isEmpty { return path }
        }
        return try Self.defaultPaths.first { try FileSystem.status($0) != nil }
    }

    /// The settings.
    ///
    /// - Throws: `ConfigurationError` with the line that is wrong, or when there is no file.
    func load() throws -> Settings {
        guard let path = try path() else {
            throw ConfigurationError(
                path: Self.defaultPaths[0],
                line: 0,
                "there is no such file; write one (docs/CONFIGURATION.md), name another with "
                    + "-config, or give a database and a URL"
            )
        }
        return try Self.load(path, expandsVariables: !noExpandEnv)
    }

    private static let bytesMax = 8 * 1024 * 1024

    private static func load(_ path: String, expandsVariables: Bool) throws -> Settings {
        let text: String
        do throws(SystemError) {
            text = try FileSystem.text(of: path, limit: bytesMax + 1)
        } catch {
            throw ConfigurationError(
                path: path,
                line: 0,
                error.number == ENOENT
                    ? "there is no such file; check -config"
                    : "the file cannot be read: \(error)"
            )
        }
        return try Settings.read(
            Array(text.utf8),
            path: path,
            environment: expandsVariables ? ProcessEnvironment.current : nil
        )
    }
}

/// A place that a user named by its URL, or by a database of the configuration file.
struct NamedPlace: Sendable {
    /// The place.
    var place: StoreURL
    /// Keys of the configuration file's.
    var credentials: ReplicaCredentials?
    /// The database's path, if that is what was named.
    var database: String?

    /// Finds what an argument means. Text without `://` is a database of the configuration file.
    ///
    /// - Throws: an error that says what would be understood.
    static func find(
        _ text: String,
        replica: String?,
        in options: ConfigOptions
    ) throws -> NamedPlace {
        let isDatabase = !text.contains("://") || text.hasPrefix("sqlite")
        guard isDatabase else { return NamedPlace(place: try StoreURL.parse(text)) }
        guard try options.path() != nil else {
            // The message says how to turn a path into a URL.
            return NamedPlace(place: try StoreURL.parse(text))
        }
        let path = try DatabaseArgument.path(text)
        let found = Settings.places(of: path, in: try options.load())
        guard !found.isEmpty else {
            throw ValidationError(
                "'\(path)' is not a database of \(try options.path() ?? "the configuration"); "
                    + "'highwater databases' lists those, or give a URL."
            )
        }
        guard let replica else {
            if found.count > 1 {
                let names = found.map(\.name).joined(separator: ", ")
                StandardError.write(
                    "note: '\(path)' has the replicas \(names); taking \(found[0].name), "
                        + "-replica takes another one\n"
                )
            }
            return NamedPlace(found[0], database: path)
        }
        guard let chosen = found.first(where: { $0.name == replica }) else {
            let names = found.map(\.name).joined(separator: ", ")
            throw ValidationError("'\(path)' has no replica '\(replica)'; it has \(names).")
        }
        return NamedPlace(chosen, database: path)
    }

    private init(_ replica: ReplicaSettings, database: String) {
        place = replica.place
        credentials = replica.credentials
        self.database = database
    }

    private init(place: StoreURL) { self.place = place }
}

/// A database's path as users write it.
enum DatabaseArgument {
    /// The path from the root.
    static func path(_ text: String) throws -> String {
        var path = text
        for scheme in ["sqlite://", "sqlite3://"] where path.hasPrefix(scheme) {
            path.removeFirst(scheme.count)
        }
        if !path.hasPrefix("/") { path = try FileSystem.workingFolder() + "/" + path }
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}
