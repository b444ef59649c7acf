/// How an upload is cut into parts.
package struct UploadPlan: Sendable, Hashable {
    private let base: Int
    private let isGrowing: Bool
    /// Parts in all.
    package let partsMax: Int

    /// The plan for a body of `byteCount` bytes, nil when nobody knows. All parts are of one size
    /// where the store wants it, the user chose it, or the length is known.
    package init(_ configuration: S3Configuration, byteCount: UInt64?) {
        partsMax = configuration.provider.partsMax
        if let chosen = configuration.partBytes {
            base = chosen
            isGrowing = false
        } else if let byteCount, byteCount <= Limits.wholeBodyBytes {
            base = Limits.wholeBodyBytes
            isGrowing = false
        } else if let byteCount {
            let needed = Int(min(byteCount, 1 << 62)) / partsMax + 1
            let rounded = ((needed + (1 << 20) - 1) >> 20) << 20
            base = min(max(Limits.partBytes, rounded), Limits.partBytesMax)
            isGrowing = false
        } else {
            base = configuration.provider.needsEqualParts ? 2 * Limits.partBytes : Limits.partBytes
            isGrowing = !configuration.provider.needsEqualParts
        }
    }

    /// Bytes of part `number`, from 1. A growing plan doubles after each eighth of the parts, up
    /// to `Limits.growingPartBytesMax`: about 500 GiB in 10,000 parts.
    package func partSize(_ number: Int) -> Int {
        guard isGrowing else { return base }
        let step = min((number - 1) / max(1, partsMax / 8), 8)
        return min(base << step, Limits.growingPartBytesMax)
    }

    /// The most bytes that an upload may have.
    package var byteCountMax: Int {
        (1...partsMax).reduce(0) { $0 + partSize($1) }
    }
}
