import ObjectStorage

extension Settings {
    /// The settings as a file that says all of them, with defaults, and reads as the same settings
    /// where nothing is expanded. Keys are left out, and secrets in URLs hidden.
    package var yaml: String {
        var text = YAMLText()
        text.add("addr", address)
        text.add("exec", command)
        text.add("shutdown-sync-timeout", duration: shutdownTime)
        text.add("memory-limit", "\(resources.memoryLimit)")
        text.add("requests-per-second", "\(resources.requestsPerSecond ?? 0)")
        text.open("socket")
        text.add("enabled", "\(socketPath != nil)", indent: 2)
        text.add("path", socketPath, indent: 2)
        text.add("permissions", Quantity.text(permissions: socketPermissions), indent: 2)
        text.open("logging")
        text.add("level", logging.level ?? "info", indent: 2)
        text.add("type", logging.type ?? "text", indent: 2)
        if databases.isEmpty { text.lines += "dbs: []\n" } else { text.open("dbs") }
        for database in databases { database.write(to: &text) }
        return text.lines
    }
}

extension DatabaseSettings {
    fileprivate func write(to text: inout YAMLText) {
        switch place {
        case .file(let path): text.add("- path", path, indent: 2)
        case .folder(let folder):
            text.add("- dir", folder.path, indent: 2)
            text.add("pattern", folder.pattern, indent: 4)
            text.add("recursive", "\(folder.isRecursive)", indent: 4)
            text.add("watch", "\(folder.isWatched)", indent: 4)
        }
        text.add("spool-limit", "\(outage.spoolLimit)", indent: 4)
        let policy = outage.protectsApplication ? "protect-app" : "protect-backup"
        text.add("outage-policy", policy, indent: 4)
        text.add("verify-interval", duration: verify.interval, indent: 4)
        text.add("verify-level", verify.level.rawValue, indent: 4)
        text.add("verify-subset", Quantity.text(thousandths: verify.share), indent: 4)
        text.add("restore-if-db-not-exists", "\(restoresIfMissing)", indent: 4)
        text.add("allow-hazard", "\(allowsHazard)", indent: 4)
        text.add("heartbeat", "\(writesHeartbeat)", indent: 4)
        text.open("snapshot", indent: 4)
        text.add("interval", duration: keeping.snapshotInterval, indent: 6)
        text.open("retention", indent: 4)
        text.add("enabled", "\(keeping.isMaintained)", indent: 6)
        text.add("window", duration: keeping.window, indent: 6)
        text.add("check-interval", duration: keeping.interval, indent: 6)
        if keeping.levels.isEmpty {
            text.lines += "    levels: []\n"
        } else {
            text.open("levels", indent: 4)
            for interval in keeping.levels {
                text.add("- interval", duration: interval, indent: 6)
            }
        }
        text.open("replicas", indent: 4)
        for replica in replicas {
            text.add("- url", replica.place.description, indent: 6)
            if !replica.name.isEmpty { text.add("name", replica.name, indent: 8) }
            text.add("sync-interval", duration: replica.syncInterval, indent: 8)
            if let keys = replica.credentials {
                // Without line ends that would end the comment.
                let shown = String(keys.description.unicodeScalars.filter(YAMLText.isPrintable))
                text.lines += "        # keys: \(shown)\n"
            }
        }
    }
}

/// Lines of YAML.
private struct YAMLText {
    var lines = ""

    mutating func open(_ key: String, indent: Int = 0) {
        lines += String(repeating: " ", count: indent) + "\(key):\n"
    }

    mutating func add(_ key: String, _ value: String?, indent: Int = 0) {
        guard let value else { return }
        lines += String(repeating: " ", count: indent) + "\(key): \(Self.quoted(value))\n"
    }

    mutating func add(_ key: String, duration: Int64, indent: Int = 0) {
        add(key, Quantity.text(nanoseconds: duration), indent: indent)
    }

    /// A value that YAML reads as text, whatever is in it.
    private static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty && value != "null"
            && value.utf8.allSatisfy { byte in
                let scalar = Unicode.Scalar(byte)
                return scalar.isASCII && scalar.properties.isAlphabetic
                    || (0x30...0x39).contains(byte) || "/._-".utf8.contains(byte)
            } && !value.hasPrefix("-")
        if isPlain { return value }
        if value.unicodeScalars.allSatisfy(isPrintable) {
            return "'" + value.replacing("'", with: "''") + "'"
        }
        return "\"" + value.unicodeScalars.map(escaped).joined() + "\""
    }

    /// Whether a character may stand between single quotes: no line end, nothing that YAML forbids.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20...0x7e, 0xa0...0x2027, 0x202a...0xd7ff, 0xe000...0xfefe, 0xff00...0xfffd: true
        default: scalar.value >= 0x1_0000
        }
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        default: break
        }
        if isPrintable(scalar) { return String(scalar) }
        // None of those is beyond 0xffff.
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
