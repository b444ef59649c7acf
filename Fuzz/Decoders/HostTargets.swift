@testable import Hazards

extension FuzzTarget {
    /// What the kernel and other agents write.
    static let hosts = [
        FuzzTarget("peer-note", decodeNote),
        FuzzTarget("mounts", decodeMounts),
    ]

    private static func decodeNote(_ bytes: [UInt8]) -> Bool {
        guard let note = PeerNote(text: String(decoding: bytes, as: UTF8.self)) else {
            return false
        }
        promise(PeerNote(text: note.text)?.inode == note.inode, note.text)
        return true
    }

    private static func decodeMounts(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        let table = MountTable(parsing: text)
        _ = table.mount(of: "/a/b")
        let locks = LockTable(parsing: text)
        for lock in locks.lines { _ = lock.sharedMemoryNames }
        return !table.mounts.isEmpty || !locks.lines.isEmpty
    }
}
