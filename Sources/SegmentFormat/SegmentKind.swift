/// What a segment holds.
package enum SegmentKind: UInt8, Sendable {
    /// Commits, each apart, pages as deltas.
    case log = 1
    /// Many log segments merged: the commits of all of them, and what each one's ends said.
    case pack = 2
    /// The pages that changed in a window, each once, as they were at its end.
    case level = 3
    /// Every page.
    case snapshot = 4

    /// The extension of the object's name, without the dot.
    package var fileExtension: String {
        switch self {
        case .log: "log"
        case .pack: "pack"
        case .level: "level"
        case .snapshot: "snapshot"
        }
    }

    /// The kind with that extension.
    package init?(fileExtension: some StringProtocol) {
        switch fileExtension {
        case "log": self = .log
        case "pack": self = .pack
        case "level": self = .level
        case "snapshot": self = .snapshot
        default: return nil
        }
    }

    /// Whether the kind holds commits one by one: logs and packs.
    package var holdsCommits: Bool { self == .log || self == .pack }

    /// The levels at which the kind may stand.
    var levels: ClosedRange<UInt8> {
        switch self {
        case .log, .pack: 0...0
        case .level: 1...0xfe
        case .snapshot: 0xff...0xff
        }
    }
}
