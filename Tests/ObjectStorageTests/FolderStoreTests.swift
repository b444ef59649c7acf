import Glibc
import ObjectStorage
import Platform
import TestSupport
import Testing

@Suite struct FolderStoreTests {
    let folder = TemporaryFolder()
    var store: FolderStore { FolderStore(root: folder.path, executor: executor) }

    func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

    @Test func `staging files of dead processes are not objects`() async throws {
        try await store.put(key("a/x"), bytes: [1])
        let left = folder.file("a/.highwater-staging-0000000000000000")
        _ = try FileDescriptor(path: left, flags: O_WRONLY | O_CREAT)
        #expect(try await store.list(prefix: "").map(\.key.path) == ["a/x"])
        let hidden = try key("a/.highwater-staging-1")
        let error = await #expect(throws: StoreError.self) {
            try await store.put(hidden, bytes: [])
        }
        #expect(error?.code == .invalid)
    }

    @Test func `nothing but the object is left of a put`() async throws {
        try await store.put(key("a/x"), bytes: [1])
        await #expect(throws: StoreError.self) {
            try await store.put(key("a/x"), bytes: [1], ifAbsent: true)
        }
        #expect(try FileSystem.names(in: folder.file("a")) == ["x"])
        #expect(try FileSystem.status(folder.file("a/x"))?.permissions == 0o600)
    }

    @Test(arguments: ["file", "file/below/it"])
    func `a file in the folder's place is no absence of objects`(root: String) async throws {
        _ = try FileDescriptor(path: folder.file("file"), flags: O_WRONLY | O_CREAT)
        let store = FolderStore(root: folder.file(root), executor: executor)
        let key = try key("a/x")
        let list = await #expect(throws: StoreError.self) { try await store.list(prefix: "a/") }
        let head = await #expect(throws: StoreError.self) { try await store.head(key) }
        let get = await #expect(throws: StoreError.self) { try await store.get(key) }
        #expect([list, head, get].map { $0?.code } == [.unreachable, .unreachable, .unreachable])
        let missing = FolderStore(root: folder.file("none"), executor: executor)
        #expect(try await missing.list(prefix: "a/").isEmpty)
    }

    @Test func `a folder that was removed is made again`() async throws {
        let store = store
        try await store.put(key("a/b/x"), bytes: [1])
        unlink(folder.file("a/b/x"))
        try FileSystem.removeFolder(folder.file("a/b"))
        try FileSystem.removeFolder(folder.file("a"))
        try await store.put(key("a/b/y"), bytes: [2])
        #expect(try await store.list(prefix: "").map(\.key.path) == ["a/b/y"])
    }

    @Test func `folders below one that was removed are made again`() async throws {
        let store = store
        try await store.put(key("a/b/x"), bytes: [1])
        unlink(folder.file("a/b/x"))
        try FileSystem.removeFolder(folder.file("a/b"))
        try FileSystem.removeFolder(folder.file("a"))
        // Not used yet, in one that was, and in the place of one that was.
        try await store.put(key("a/c/y"), bytes: [2])
        try await store.put(key("a/b/d/z"), bytes: [3])
        #expect(try await store.list(prefix: "").map(\.key.path) == ["a/b/d/z", "a/c/y"])
    }

    @Test func `a link that leads back does not trap the listing`() async throws {
        try await store.put(key("a/x"), bytes: [1])
        symlink(folder.path, folder.file("a/loop"))
        symlink("/nowhere/at/all", folder.file("a/dangling"))
        mkfifo(folder.file("a/pipe"), 0o600)
        #expect(try await store.list(prefix: "").map(\.key.path) == ["a/x"])
        let error = await #expect(throws: StoreError.self) { try await store.get(key("a/pipe")) }
        #expect(error?.code == .notFound)
    }

    @Test func `a root that is a file is no store`() async throws {
        _ = try FileDescriptor(path: folder.file("f"), flags: O_WRONLY | O_CREAT)
        let store = FolderStore(root: folder.file("f"), executor: executor)
        let error = await #expect(throws: StoreError.self) { try await store.list(prefix: "") }
        #expect(error?.code == .unreachable)
    }

    @Test(.enabled(if: geteuid() != 0, "root may read everything"))
    func `a folder that may not be read is an error, not an empty store`() async throws {
        try await store.put(key("a/x"), bytes: [1])
        chmod(folder.file("a"), 0)
        let error = await #expect(throws: StoreError.self) { try await store.list(prefix: "") }
        #expect(error?.code == .accessDenied)
    }

    @Test func `a file is a body`() async throws {
        let bytes = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let path = folder.file("source")
        do {
            let file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT)
            try file.write(bytes, at: 0)
        }
        let body = try await FileBody(path: path, executor: executor)
        #expect(body.byteCount == 2_500_000)
        try await store.put(key("copy"), body: body, ifAbsent: false)
        #expect(try await store.get(key("copy")) == bytes)
    }
}
