import Foundation
import ObjectStorage
import Testing

@testable import Configuration

@Suite struct ConfigurationTests {
    private func read(_ text: String, _ environment: [String: String] = [:]) throws -> Settings {
        try Settings.read(Array(text.utf8), path: "h.yml", environment: environment)
    }

    private func failure(_ text: String, _ environment: [String: String] = [:]) -> String {
        do {
            _ = try read(text, environment)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func `the shortest file`() throws {
        let settings = try read("dbs:\n  - path: /data/app.db\n    replica: file:///backup/app\n")
        #expect(settings.databases.count == 1)
        #expect(settings.databases[0].place == .file("/data/app.db"))
        #expect(settings.databases[0].replicas[0].place.description == "file:///backup/app")
        #expect(settings.databases[0].keeping == KeepingSettings())
        #expect(settings.socketPath == nil)
        #expect(settings.ignoredKeys.isEmpty)
    }

    @Test func `what all databases together may use`() throws {
        let databases = "dbs:\n  - path: /data/app.db\n    replica: file:///backup/app\n"
        #expect(try read(databases).resources == ResourceSettings())
        let read = try read("memory-limit: 1GiB\nrequests-per-second: 50\n" + databases)
        #expect(read.resources.memoryLimit == 1 << 30)
        #expect(read.resources.requestsPerSecond == 50)
        let again = try Settings.read(Array(read.yaml.utf8), path: "h.yml", environment: nil)
        #expect(again.resources == read.resources)
        #expect(failure("memory-limit: 1MiB\n" + databases).contains("16MiB or more"))
        #expect(failure("requests-per-second: 1.5\n" + databases).contains("whole number"))
        #expect(failure("requests-per-second: -1\n" + databases).contains("whole number"))
    }

    @Test func `defaults hold for databases, and databases' values for replicas`() throws {
        let settings = try read(
            """
            sync-interval: 5s
            snapshot: {interval: 12h}
            region: eu-central-1
            dbs:
              - path: /data/a.db
                sync-interval: 250ms
                retention: {window: 30d}
                replicas:
                  - {url: "s3://bucket/a"}
                  - {name: near, path: /backup/a, sync-interval: 0}
              - path: /data/b.db
                replica: {type: s3, bucket: b, path: x y, endpoint: "http://127.0.0.1:9000"}
            """
        )
        let first = settings.databases[0]
        #expect(first.replicas.map(\.syncInterval) == [250_000_000, 0])
        #expect(first.replicas.map(\.name) == ["replica-1", "near"])
        #expect(first.replicas[0].place.description == "s3://bucket/a?region=eu-central-1")
        #expect(first.keeping.window == 30 * 86_400_000_000_000)
        #expect(first.keeping.snapshotInterval == 43_200_000_000_000)
        let second = settings.databases[1].replicas[0]
        #expect(second.syncInterval == 5_000_000_000)
        #expect(
            second.place.description
                == "s3://b/x y?endpoint=http://127.0.0.1:9000&region=eu-central-1"
        )
    }

    @Test func `an unknown key is an error that names the nearest one, and the line`() {
        #expect(
            failure("dbs: []\nadress: ':9'\n").contains("h.yml:2: the file has no key 'adress'")
        )
        #expect(failure("dbs: []\nadr: ':9'\n").contains("did you mean 'addr'?") == true)
        let text = "dbs:\n  - path: /a\n    replica: {url: 'file:///b', regoin: x}\n"
        #expect(failure(text).contains("did you mean 'region'?"))
    }

    @Test func `variables expand, and secrets with a dollar sign stay`() throws {
        let settings = try read(
            """
            access-key-id: ${NAME}
            secret-access-key: pa$$w0rd$HOME
            dbs:
              - path: ${ROOT:-/srv}/app.db
                replica: file:///backup
            """,
            ["NAME": "key"]
        )
        #expect(settings.databases[0].place == .file("/srv/app.db"))
        let credentials = settings.databases[0].replicas[0].credentials
        #expect(credentials?.accessKeyID == "key")
        #expect(credentials?.secret == "pa$$w0rd$HOME")
        #expect("\(String(describing: credentials))".contains("w0rd") == false)
        #expect(failure("dbs:\n  - path: ${MISSING}\n").contains("MISSING is not set"))
    }

    @Test func `two databases may not share a destination`() {
        let text = """
            dbs:
              - {path: /a.db, replica: "file:///b"}
              - {path: /c.db, replica: "file:///b/"}
            """
        #expect(failure(text).contains("the destination of line 2"))
    }

    @Test func `a file of Litestream's loads, and what means nothing here is named`() throws {
        let settings = try read(
            """
            access-key-id: AKIA
            secret-access-key: s
            dbs:
              - path: /data/db
                monitor-interval: 1s
                replicas:
                  - type: s3
                    bucket: mybkt
                    path: db
                    region: us-east-1
                    retention: 24h
            """
        )
        #expect(
            settings.databases[0].replicas[0].place.description == "s3://mybkt/db?region=us-east-1"
        )
        #expect(settings.ignoredKeys == ["monitor-interval (line 5)", "retention (line 11)"])
    }

    @Test(arguments: [
        "", "dbs: {", "- a", "dbs: 1", "dbs:\n - path: relative\n   replica: file:///b\n",
        "dbs:\n - path: /a\n", "dbs:\n - replica: file:///b\n", "a: &x 1\nb: *x\n",
        "dbs:\n - {path: /a, dir: /b, replica: 'file:///b'}\n", "dbs: []\ndbs: []\n",
        "dbs:\n - {path: /a, replica: 'ftp://b'}\n", "dbs: []\nsync-interval: 10\n",
        "dbs: []\n---\ndbs: []\n", "dbs: []\naccess-key-id: a\n",
    ])
    func `bad files are errors with the file's name`(text: String) {
        #expect(failure(text).hasPrefix("h.yml:"))
    }

    @Test func `nesting without end costs nothing`() {
        #expect(failure(String(repeating: "[", count: 100_000)).contains("nests"))
    }

    @Test(arguments: [
        ("0", 0), ("10s", 10_000_000_000), ("1h30m", 5_400_000_000_000), ("1.5s", 1_500_000_000),
        ("7d", 604_800_000_000_000), ("250ms", 250_000_000),
    ])
    func `lengths of time`(text: String, nanoseconds: Int64) {
        #expect(Quantity.nanoseconds(text) == nanoseconds)
    }

    @Test(arguments: ["", "10", "s", "1x", "-1s", "99999999999999999999d"])
    func `what is no length of time`(text: String) {
        #expect(Quantity.nanoseconds(text) == nil)
    }

    @Test func `outages: a limit and a policy, by database`() throws {
        let settings = try read(
            """
            spool-limit: 500MiB
            dbs:
              - {path: /a.db, replica: "file:///a", outage-policy: protect-app}
              - {path: /b.db, replica: "file:///b", spool-limit: 1GiB}
            """
        )
        #expect(settings.databases.map(\.outage.spoolLimit) == [500 << 20, 1 << 30])
        #expect(settings.databases.map(\.outage.protectsApplication) == [true, false])
        #expect(failure("dbs: []\nspool-limit: 5\n").contains("a size of 1MiB or more"))
        #expect(failure("dbs: []\noutage-policy: x\n").contains("protect-backup or protect-app"))
    }

    @Test func `verification: never unless the file says when, and how, by database`() throws {
        let settings = try read(
            """
            verify-interval: 1d
            verify-subset: 5%
            dbs:
              - {path: /a.db, replica: "file:///a", verify-level: restore}
              - {path: /b.db, replica: "file:///b", verify-interval: 0, verify-subset: 0.25%}
            """
        )
        let (first, second) = (settings.databases[0].verify, settings.databases[1].verify)
        #expect(first.interval == 86_400_000_000_000 && second.interval == 0)
        #expect(first.level == .restore && second.level == .checksum)
        #expect([first.share, second.share] == [50, 3])
        let again = try read(settings.yaml)
        #expect(again.databases.map(\.verify) == [first, second])
        #expect(VerifySettings().interval == 0 && VerifySettings().share == 1000)
        let database = "dbs:\n  - path: /a\n    replica: file:///a\n    "
        for (line, text) in [
            ("verify-interval: 10", "'verify-interval' takes a length of time with its unit"),
            ("verify-interval: 20ms", "'verify-interval' is 0, for never, or a second at least"),
            ("verify-level: live", "'verify-level' is one of list, checksum, restore"),
            ("verify-subset: 5", "'verify-subset' takes a share above 0% and up to 100%"),
            ("verify-subset: 0%", "'verify-subset' takes a share above 0% and up to 100%"),
            ("verify-subset: 101%", "'verify-subset' takes a share above 0% and up to 100%"),
            ("verify-interva: 1d", "did you mean 'verify-interval'?"),
        ] {
            #expect(failure("dbs: []\n\(line)\n").contains(text), "\(line)")
            #expect(failure("dbs: []\n\(line)\n").hasPrefix("h.yml:2: "), "\(line)")
            #expect(failure("\(database)\(line)\n").hasPrefix("h.yml:4: "), "\(line)")
        }
    }

    @Test func `Litestream's validation is verification that restores`() throws {
        let newer = try read(
            """
            validation: {interval: 6h}
            dbs:
              - {path: /a.db, replica: "file:///a"}
              - {path: /b.db, replica: "file:///b", verify-level: list, verify-interval: 1h}
            """
        )
        #expect(newer.databases.map(\.verify.interval) == [21_600_000_000_000, 3_600_000_000_000])
        #expect(newer.databases.map(\.verify.level) == [.restore, .list])
        #expect(newer.ignoredKeys.isEmpty)
        let older = try read(
            """
            dbs:
              - path: /a.db
                replicas: [{path: /1, validation-interval: 6h}, {path: /2}]
              - path: /b.db
                replicas: [{path: /3, validation-interval: 0}]
            """
        )
        #expect(older.databases.map(\.verify.interval) == [21_600_000_000_000, 0])
        #expect(older.databases.map(\.verify.level) == [.restore, .checksum])
        #expect(older.ignoredKeys.isEmpty)
        #expect(failure("dbs: []\nvalidation: {interval: 1ms}\n").contains("'interval' is 0"))
        #expect(failure("dbs: []\nvalidation: {inteval: 1h}\n").contains("'interval'?"))
    }

    @Test(arguments: [
        ("5%", 50), ("100%", 1000), ("0.5%", 5), ("0.01%", 1), ("32.3%", 323), ("12.5%", 125),
    ])
    func `shares`(text: String, thousandths: UInt64) {
        #expect(Quantity.thousandths(text) == thousandths)
        #expect(Quantity.thousandths(Quantity.text(thousandths: thousandths)) == thousandths)
    }

    @Test(arguments: ["", "%", "5", "0%", "-1%", "100.1%", "x%", "nan%", "inf%", "5 %"])
    func `what is no share`(text: String) {
        #expect(Quantity.thousandths(text) == nil)
    }

    @Test func `metrics are served where the file says, or nowhere`() throws {
        #expect(try read("dbs: []\n").address == nil)
        #expect(try read("dbs: []\naddr: ''\n").address == nil)
        #expect(try read("dbs: []\naddr: ':9090'\n").address == ":9090")
        #expect(ListenAddress(":9090")?.host == "")
        #expect(ListenAddress("[::1]:80")?.host == "::1")
        #expect(ListenAddress("localhost:80")?.port == 80)
        for text in ["nonsense", "127.0.0.1:99999", "a:0", ":", "::1:80", "a:b", "a:-1"] {
            #expect(ListenAddress(text) == nil, "\(text)")
            #expect(failure("dbs: []\naddr: '\(text)'\n").contains("h.yml:2: 'addr'"))
        }
    }

    @Test func `a file that names a control socket, or none, has the last word`() throws {
        for text in ["socket: {path: /run/x.sock}", "socket: {enabled: false}"] {
            #expect(try read(text).namesSocket)
        }
        for text in ["addr: ':9090'", "socket: {}", "socket: {permissions: \"0660\"}"] {
            #expect(try !read(text).namesSocket)
        }
    }

    @Test func `the control socket's mode is octal, and its owner's alone without a word`() throws {
        #expect(try read("socket: {}").socketPermissions == 0o600)
        for (text, bits) in [("0660", 0o660), ("\"0777\"", 0o777), ("0o640", 0o640), ("0000", 0)] {
            let settings = try read("socket: {permissions: \(text)}")
            #expect(settings.socketPermissions == UInt32(bits) && settings.ignoredKeys.isEmpty)
            let shown = try Settings.read(Array(settings.yaml.utf8), path: "x", environment: nil)
            #expect(shown.socketPermissions == UInt32(bits))
        }
    }

    @Test(arguments: [
        "600", "06", "00600", "1777", "0888", "0x1f", "-600", "rw-------", "\"\"", "0600 ", "384",
        "0o1000", "0o60", "u=rw", "[0600]", "٠٦٠٠",
    ])
    func `what is no mode is named, with its line`(text: String) {
        let message = failure("socket:\n  permissions: \"\(text.replacing("\"", with: ""))\"\n")
        #expect(message.contains(":2:") && message.contains("0000 to 0777"), "\(message)")
    }

    @Test func `what is shown reads as the same`() throws {
        let text = """
            exec: "a\\nb\\t'c' \\u2028"
            shutdown-sync-timeout: 36500d23h59m1ms1ns
            dbs:
              - dir: '/x y'
                pattern: '- *'
                replicas: [{name: "null", url: file:///a, sync-interval: 1.5ms}, file:///b]
            """
        let first = try read(text)
        let second = try read(first.yaml)
        #expect(second.yaml == first.yaml)
        #expect(second.command == "a\nb\t'c' \u{2028}")
        #expect(second.shutdownTime == 3_153_686_340_001_000_001)
        #expect(second.databases[0].place == first.databases[0].place)
        #expect(second.databases[0].replicas.map(\.name) == ["null", "replica-2"])
        #expect(second.databases[0].replicas[0].syncInterval == 1_500_000)
    }

    @Test func `paths are whole and clean`() throws {
        let settings = try read(
            "dbs: [{path: ~/a/../b//c, replica: file:///d}]",
            ["HOME": "/home/me"]
        )
        #expect(settings.databases[0].place == .file("/home/me/b/c"))
        let zero = #"dbs: [{path: "/a\0b", replica: file:///d}]"#
        #expect(failure(zero).contains("'path' has a character with the code 0 in it"))
    }

    @Test func `every key is in docs/CONFIGURATION.md`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appending(path: "docs/CONFIGURATION.md"),
            encoding: .utf8
        )
        let keys = Set(
            Settings.keys + DatabaseSettings.keys + ReplicaDefaults.replicaKeys
        )
        for key in keys where !text.contains("`\(key)`") && !text.contains("`\(key): ") {
            Issue.record("'\(key)' is not in docs/CONFIGURATION.md")
        }
    }
}
