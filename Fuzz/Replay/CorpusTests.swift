import Foundation
import TestSupport
import Testing

/// Every seed of the fuzzer, and seeded mutations of it, through its decoder: what `make fuzz`
/// does for hours, for a moment in each run of the tests.
@Suite struct CorpusTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Corpus")

    private static func seeds(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let place = folder.appending(path: target.name)
        return try FileManager.default.contentsOfDirectory(atPath: place.path).sorted().map {
            ($0, [UInt8](try Data(contentsOf: place.appending(path: $0))))
        }
    }

    @Test func `every decoder has seeds, and every folder of seeds a decoder`() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(Set(folders) == Set(FuzzTarget.all.map(\.name)))
    }

    @Test(arguments: FuzzTarget.all)
    func `seeds are decoded, and some accepted`(_ target: FuzzTarget) throws {
        let seeds = try Self.seeds(of: target)
        let accepted = seeds.filter { target.decode($0.bytes) }
        #expect(!accepted.isEmpty, "no seed of \(target) reaches its decoder's end")
    }

    @Test(arguments: FuzzTarget.all)
    func `mutated seeds end with a value or an error`(_ target: FuzzTarget) throws {
        let seeds = try Self.seeds(of: target)
        var random = SeededGenerator(seed: 7)
        var refused = 0
        for _ in 0..<Self.mutationsPerTarget {
            let seed = seeds[Int.random(in: 0..<seeds.count, using: &random)].bytes
            let other = seeds[Int.random(in: 0..<seeds.count, using: &random)].bytes
            let mutant = Self.mutant(of: seed, and: other, using: &random)
            if !target.decode(mutant) { refused += 1 }
        }
        // Mutations that nobody minds would say nothing.
        #expect(refused > 0)
    }

    private static let mutationsPerTarget = 3000

    /// Numbers at which decoders go wrong.
    private static let words: [UInt64] = [
        0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
        0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, .max,
    ]

    private static func mutant(
        of seed: [UInt8],
        and other: [UInt8],
        using random: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = seed
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { return other }
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + 4))
            case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 9)], at: place)
            case 4: bytes.removeLast(bytes.count - place)
            case 5:
                let from = Int.random(in: 0...other.count, using: &random)
                bytes.replaceSubrange(place..<bytes.count, with: other[from...])
            default:
                let value = words[Int.random(in: 0..<words.count, using: &random)]
                let size = [1, 2, 4, 8][Int.random(in: 0..<4, using: &random)]
                let isBig = Bool.random(using: &random)
                for index in 0..<min(size, bytes.count - place) {
                    let shift = UInt64(isBig ? size - 1 - index : index) * 8
                    bytes[place + index] = UInt8(truncatingIfNeeded: value >> shift)
                }
            }
        }
        return bytes
    }
}
