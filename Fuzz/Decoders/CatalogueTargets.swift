import BackupCatalog
import Bytes
import Platform
import SegmentFormat

@testable import Restore

extension FuzzTarget {
    /// Descriptions and names in a store, and the pages of a restored database.
    static let catalogue = [
        FuzzTarget("generation", decodeGeneration),
        FuzzTarget("claim", decodeClaim),
        FuzzTarget("hint", decodeHint),
        FuzzTarget("segment-name", decodeName),
        FuzzTarget("timestamp", decodeTimestamp),
        FuzzTarget("btree", decodePage),
    ]

    private static func decodeGeneration(_ bytes: [UInt8]) -> Bool {
        do throws(CatalogError) {
            let record = try GenerationRecord(decoding: bytes, object: "generation.json")
            let again = try GenerationRecord(decoding: record.encode(), object: "again")
            promise(again == record, "\(record)")
            // What every reader does with a parent: look for the commit after its own.
            if let parent = record.parent { _ = parent.txid.next }
            return true
        } catch {
            _ = error.description
            return false
        }
    }

    private static func decodeClaim(_ bytes: [UInt8]) -> Bool {
        do throws(CatalogError) {
            let claim = try WriterClaim(decoding: bytes, object: "writers/1")
            let again = try WriterClaim(decoding: claim.encode(), object: "again")
            promise(again == claim, "\(claim)")
            _ = claim.txid.next
            return true
        } catch {
            return false
        }
    }

    private static func decodeHint(_ bytes: [UInt8]) -> Bool {
        do throws(CatalogError) {
            let hint = try RestoreHint(decoding: bytes, object: "a.db.highwater")
            let again = try RestoreHint(decoding: hint.encode(), object: "again")
            promise(again == hint, "\(hint)")
            _ = hint.txid.next
            return true
        } catch {
            return false
        }
    }

    private static func decodeName(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        if let number = WriterClaim.number(path: text) {
            promise(WriterClaim.path(number: number) == text, text)
        }
        if let id = GenerationID(text) { promise(id.text.utf8.elementsEqual(text.utf8), text) }
        guard let name = SegmentName(path: text) else { return false }
        promise(name.path.utf8.elementsEqual(text.utf8), text)
        // The neighbours of the range are asked for everywhere.
        _ = name.maxTXID.next
        if name.kind != .snapshot { _ = name.minTXID.previous }
        return true
    }

    private static func decodeTimestamp(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let time = Timestamp(rfc3339: text) else { return false }
        promise(Timestamp(rfc3339: time.description) == time, "\(text) is \(time)")
        return true
    }

    /// A page of a b-tree, and its cells as rows of the schema. The first byte says which page.
    private static func decodePage(_ bytes: [UInt8]) -> Bool {
        guard let choice = bytes.first else { return false }
        let page = Array(bytes.dropFirst())
        return page.withUnsafeBytes { raw in
            _ = SchemaRow(record: raw)
            let usable = max(0, raw.count - Int(choice >> 1))
            guard let tree = BTreePage(raw, isFirst: choice & 1 == 1, usable: usable) else {
                return false
            }
            for payload in tree.payloads {
                promise(payload.local.upperBound <= usable, "\(payload)")
                _ = SchemaRow(record: UnsafeRawBufferPointer(rebasing: raw[payload.local]))
            }
            return true
        }
    }
}
