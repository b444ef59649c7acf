import Bytes
import Glibc
import Platform
import SQLiteAccess

extension FollowerStart {
    /// generation.json of a new generation (docs/FORMAT.md).
    func generationRecord(_ id: GenerationID, attachment: Attachment) throws -> [UInt8] {
        var host = [CChar](repeating: 0, count: 256)
        gethostname(&host, 255)
        let hostName = String(
            decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        let identity = attachment.identity
        let mode = "0" + String(identity.permissions & 0o777, radix: 8)
        let text = """
            {"format":"highwater-1","version":1,"id":"\(id)","created":"\(Timestamp.now)",\
            "page_size":\(attachment.pageSize),"parent":null,\
            "file":{"name":"\(Self.escape(FileSystem.name(of: path)))",\
            "path":"\(Self.escape(displayPath))","mode":"\(mode)",\
            "uid":\(identity.owner),"gid":\(identity.group)},\
            "host":"\(Self.escape(hostName))","highwater":"\(version)",\
            "sqlite":"\(SQLiteLibrary.version)","owner":"\(owner)"}

            """
        return Array(text.utf8)
    }

    /// A string's content in JSON (RFC 8259 §7).
    private static func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                result += "\\u" + Hex.string(UInt64(scalar.value), digits: 4)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
