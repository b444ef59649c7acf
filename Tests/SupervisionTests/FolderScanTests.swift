import Configuration
import Glibc
import Platform
import TestSupport
import Testing

@testable import Supervision

@Suite struct FolderScanTests {
    private let folder = TemporaryFolder()

    private func write(_ name: String, _ text: String) throws {
        let file = try FileDescriptor(
            path: folder.file(name),
            flags: O_RDWR | O_CREAT | O_TRUNC
        )
        try file.write(Array(text.utf8), at: 0)
    }

    private static let database = "SQLite format 3\0" + String(repeating: "x", count: 200)

    private func scan(_ pattern: String = "*", recursive: Bool = false) -> FolderScan {
        var settings = FolderSettings(path: folder.path)
        settings.pattern = pattern
        settings.isRecursive = recursive
        return FolderScan(settings)
    }

    @Test func `databases count by what is in them, companions and hidden names never`() throws {
        for name in ["a.db", "b.db", "b.db-wal", "b.db-shm", "b.db-journal", ".c.db", "d.txt"] {
            try write(name, Self.database)
        }
        try write("e.db", "just text, and long enough to be looked at: " + Self.database)
        try FileSystem.makeFolder(folder.file("sub"))
        try write("sub/f.db", Self.database)
        var flat = scan("*.db")
        #expect(flat.look() == ["a.db", "b.db"])
        var deep = scan("?.db", recursive: true)
        #expect(deep.look() == ["a.db", "b.db", "sub/f.db"])
        var all = scan()
        #expect(all.look() == ["a.db", "b.db", "d.txt"])
    }

    @Test func `databases come, grow up, and go`() throws {
        var scan = scan("*.db")
        #expect(scan.look() == [])
        // An application has made the file and has not written it yet.
        try write("new.db", "")
        #expect(scan.look() == [])
        try write("new.db", Self.database)
        #expect(scan.look() == ["new.db"])
        try FileSystem.rename(folder.file("new.db"), to: folder.file("other.db"))
        #expect(scan.look() == ["other.db"])
        try FileSystem.remove(folder.file("other.db"))
        #expect(scan.look() == [])
        #expect(scan.problem == nil)
    }

    @Test func `a folder that is missing or cannot be read is a problem with a name`() throws {
        var settings = FolderSettings(path: folder.file("none"))
        settings.isRecursive = true
        var missing = FolderScan(settings)
        #expect(missing.look() == [])
        #expect(missing.problem?.contains("does not exist") == true)
        guard getuid() != 0 else { return }
        try write("a.db", Self.database)
        var scan = scan()
        #expect(scan.look() == ["a.db"])
        try FileSystem.setPermissions(folder.path, 0o000)
        defer { try? FileSystem.setPermissions(folder.path, 0o700) }
        #expect(scan.look() == ["a.db"], "a passing error ends no agent")
        #expect(scan.problem?.contains("cannot be read") == true)
    }

    @Test func `links to folders are not followed`() throws {
        try FileSystem.makeFolder(folder.file("sub"))
        try write("sub/a.db", Self.database)
        try #require(symlink(folder.path, folder.file("sub/back")) == 0)
        var scan = scan("*.db", recursive: true)
        #expect(scan.look() == ["sub/a.db"])
    }

    @Test func `a hundred thousand names are looked at in no time once they are known`() throws {
        let count = 20_000
        for number in 0..<count {
            let path = folder.file("\(number).txt")
            let made = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
            try #require(made >= 0)
            close(made)
        }
        try write("a.db", Self.database)
        var scan = scan("*.db")
        #expect(scan.look() == ["a.db"])
        // The folder's time has to lie a tick behind before names are taken from memory.
        let wait = MonotonicTime.now + 5 * Nanoseconds.second
        var shortest = Int64.max
        while MonotonicTime.now < wait, shortest > 2 * Nanoseconds.millisecond {
            let began = MonotonicTime.now
            #expect(scan.look() == ["a.db"])
            shortest = min(shortest, MonotonicTime.now - began)
        }
        #expect(shortest < 2 * Nanoseconds.millisecond)
    }
}
