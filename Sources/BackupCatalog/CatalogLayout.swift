package import Bytes
package import ObjectStorage
package import SegmentFormat

/// Where everything lies in a store: `highwater-1/<generation>/…`.
package struct CatalogLayout: Hashable, Sendable {
    /// What comes before `highwater-1/` in every key: empty, or ending with a slash.
    package let prefix: String

    /// The first part of every key, which also names the format's version.
    package static let folder = "highwater-1"
    /// The name of a generation's description.
    package static let recordName = "generation.json"
    /// The folder of a generation's owners.
    package static let writersFolder = "writers"

    /// The layout below `prefix`, in which slashes at the ends do not matter.
    package init(prefix: String = "") {
        let parts = prefix.split(separator: "/")
        self.prefix = parts.isEmpty ? "" : parts.joined(separator: "/") + "/"
    }

    /// What every key begins with.
    package var root: String { prefix + Self.folder + "/" }

    /// What every key of a generation begins with.
    package func folder(of generation: GenerationID) -> String { root + generation.text + "/" }

    /// The key of a generation's description.
    package func record(of generation: GenerationID) throws(StoreError) -> ObjectKey {
        try ObjectKey(checking: folder(of: generation) + Self.recordName, for: .get)
    }

    /// The key of a generation's claim with that number.
    package func claim(_ number: UInt64, of id: GenerationID) throws(StoreError) -> ObjectKey {
        try ObjectKey(checking: folder(of: id) + WriterClaim.path(number: number), for: .put)
    }

    /// The key of a segment.
    package func segment(
        _ name: SegmentName,
        of generation: GenerationID
    ) throws(StoreError) -> ObjectKey {
        try ObjectKey(checking: folder(of: generation) + name.path, for: .put)
    }
}
