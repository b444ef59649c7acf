import Glibc
import Platform

/// A folder of a test, gone with everything in it when the value goes.
package final class TemporaryFolder: Sendable {
    /// The folder's absolute path.
    package let path: String

    /// An empty folder below `$TMPDIR` or `/tmp`.
    package init() {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let random = String(repeating: "X", count: 6)
        var template = Array("\(base)/highwater-test-\(random)".utf8CString)
        precondition(mkdtemp(&template) != nil, "cannot make a temporary folder in \(base)")
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { remove() }

    /// Removes the folder with everything in it, for those whose last holder may outlive the test.
    package func remove() { Self.removeTree(path) }

    /// The path of a name in the folder.
    package func file(_ name: String) -> String { path + "/" + name }

    /// The names in the folder, sorted.
    package var names: [String] { ((try? FileSystem.names(in: path)) ?? []).sorted() }

    private static func removeTree(_ path: String) {
        var raw = stat()
        guard lstat(path, &raw) == 0 else { return }
        if raw.st_mode & S_IFMT == S_IFDIR {
            chmod(path, 0o700)
            for name in (try? FileSystem.names(in: path)) ?? [] { removeTree(path + "/" + name) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}
