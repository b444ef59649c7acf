import ObjectStorage

extension Settings {
    /// Where the database at `path` goes, whether it has an entry of its own or lies in a folder;
    /// it does not have to exist. Places below folders are complete.
    package static func places(of path: String, in settings: Settings) -> [ReplicaSettings] {
        for database in settings.databases {
            switch database.place {
            case .file(path): return named(database.replicas)
            case .file: continue
            case .folder(let folder):
                guard path.hasPrefix(folder.path + "/") else { continue }
                let name = String(path.dropFirst(folder.path.count + 1))
                let last = name.split(separator: "/").last.map(String.init) ?? name
                guard folder.isRecursive || !name.contains("/"),
                    NamePattern.matches(last, folder.pattern)
                else { continue }
                return named(
                    database.replicas.compactMap { replica in
                        var replica = replica
                        guard let place = try? replica.place.appending(name) else { return nil }
                        replica.place = place
                        return replica
                    }
                )
            }
        }
        return []
    }

    private static func named(_ replicas: [ReplicaSettings]) -> [ReplicaSettings] {
        replicas.map { replica in
            var replica = replica
            if replica.name.isEmpty { replica.name = "default" }
            return replica
        }
    }
}
