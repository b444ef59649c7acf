import Glibc
import Platform
import TestSupport
import Testing

@testable import AgentCLI

@Suite struct DatabaseMarkTests {
    @Test func `writes to a database or its WAL are noticed, an empty WAL is not`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("app.db")
        func write(_ suffix: String, _ text: String, at offset: Int64) throws {
            let file = try FileDescriptor(path: path + suffix, flags: O_WRONLY | O_CREAT)
            try file.write(Array(text.utf8), at: offset)
        }
        try write("", "database", at: 0)
        let first = try DatabaseMark(path)
        try write("-wal", "", at: 0)
        #expect(try DatabaseMark(path) == first)
        try write("-wal", "frames", at: 0)
        let second = try DatabaseMark(path)
        #expect(second != first)
        try write("-wal", "more frames", at: 6)
        #expect(try DatabaseMark(path) != second)
        try FileSystem.remove(path + "-wal")
        try write("", "database, longer", at: 0)
        #expect(try DatabaseMark(path) != first)
    }
}
