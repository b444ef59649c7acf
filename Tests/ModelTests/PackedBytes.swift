/// Eight small numbers in one word, so that a state of the model stays cheap to copy and to hash.
struct PackedBytes: Hashable, Sendable {
    private var word: UInt64 = 0

    subscript(_ index: Int) -> UInt8 {
        get { UInt8(truncatingIfNeeded: word >> (UInt64(index) * 8)) }
        set {
            let shift = UInt64(index) * 8
            word = word & ~(0xff << shift) | UInt64(newValue) << shift
        }
    }

    subscript(_ index: UInt8) -> UInt8 {
        get { self[Int(index)] }
        set { self[Int(index)] = newValue }
    }
}
