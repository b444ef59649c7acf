/// Finds the known word that a mistyped one was meant to be.
enum NearestKey {
    /// The nearest of `known`; nil when none is near.
    static func of(_ word: String, in known: some Sequence<String>) -> String? {
        let word = normalized(word)
        let limit = max(1, word.count / 3)
        var best: (distance: Int, word: String)?
        for candidate in known.sorted() {
            let distance = distance(word, normalized(candidate))
            if distance <= limit, distance < best?.distance ?? .max { best = (distance, candidate) }
        }
        return best?.word
    }

    private static func normalized(_ word: String) -> [UInt8] {
        word.utf8.prefix(64).map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 | 0x20 }
    }

    /// Insertions, deletions and replacements between two words (Levenshtein).
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let replaced = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
            }
        }
        return row[b.count]
    }
}
