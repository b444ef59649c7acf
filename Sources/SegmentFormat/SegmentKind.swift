/// What a segment holds.
package enum SegmentKind: UInt8, Sendable {
    /// Commits, each apart, pages as deltas.
    case log = 1
    /// Many log segments merged. Reserved: format version 1 does not define its bytes.
    case pack = 2
    /// The pages that changed in a window. Reserved: format version 1 does not define its bytes.
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

    /// The levels at which the kind may stand.
    var levels: ClosedRange<UInt8> {
        switch self {
        case .log, .pack: 0...0
        case .level: 1...0xfe
        case .snapshot: 0xff...0xff
        }
    }
}
