import Glibc

/// Where scratch files go.
package enum ScratchFolder {
    /// `$TMPDIR`, or `/tmp`.
    package static var standard: String {
        guard let folder = getenv("TMPDIR"), folder.pointee != 0 else { return "/tmp" }
        return String(cString: folder)
    }
}
