import Glibc
import Platform

extension SQLiteVersion {
    /// The version of the SQLite that a process has mapped: a shared library with "sqlite" in its
    /// name, else its program. Nil where neither tells.
    static func used(by process: Int32) -> SQLiteVersion? {
        let folder = "/proc/\(process)"
        let maps = (try? FileSystem.text(of: "\(folder)/maps", limit: Limits.mapsBytes)) ?? ""
        for library in libraries(in: maps) {
            // The path is the process's own, maybe in a container.
            if let version = ofProgram("\(folder)/root\(library)") { return version }
        }
        return ofProgram("\(folder)/exe")
    }

    /// The paths in a `maps` file that may be SQLite's library.
    static func libraries(in maps: String) -> [String] {
        var found: [String] = []
        for line in maps.split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/") else { continue }
            let path = String(line[slash...])
            let name = FileSystem.name(of: path).lowercased()
            let isDatabase = name.hasSuffix("-shm") || path.hasSuffix(" (deleted)")
            if name.contains("sqlite"), !isDatabase, !found.contains(path) { found.append(path) }
        }
        // `libsqlite3.so` before what merely uses it, as in `_sqlite3.cpython-311.so`.
        return found.filter { FileSystem.name(of: $0).hasPrefix("libsqlite") }
            + found.filter { !FileSystem.name(of: $0).hasPrefix("libsqlite") }
    }

    /// The text behind the symbol `sqlite3_version` of an ELF file.
    static func ofProgram(_ path: String) -> SQLiteVersion? {
        guard let status = (try? FileSystem.status(path)) ?? nil, status.isRegularFile,
            let program = try? ProgramFile(path: path)
        else { return nil }
        return program.text(ofSymbol: "sqlite3_version").flatMap { SQLiteVersion(text: $0) }
    }
}

/// A 64-bit little-endian ELF file, read just far enough to find what a symbol's bytes are
/// (man 5 elf). Every offset and size in it is checked.
struct ProgramFile: ~Copyable {
    private let file: FileDescriptor

    init(path: String) throws(SystemError) {
        file = try FileDescriptor(path: path, flags: O_RDONLY | O_NONBLOCK)
    }

    private struct Section {
        var type: UInt32
        var offset: Int64
        var size: Int
        var link: Int
    }

    /// The NUL-terminated text, at most 31 bytes, that a symbol stands for.
    func text(ofSymbol name: String) -> String? {
        guard let header = bytes(at: 0, count: 64), header.starts(with: [0x7f, 0x45, 0x4c, 0x46]),
            header[4] == 2, header[5] == 1
        else { return nil }
        let sections = sections(header)
        for section in sections where section.type == 2 || section.type == 11 {
            guard sections.indices.contains(section.link),
                let address = address(of: name, symbols: section, names: sections[section.link]),
                let offset = fileOffset(header, of: address),
                let content = bytes(at: offset, count: 32)
            else { continue }
            return String(decoding: content.prefix { $0 != 0 }, as: UTF8.self)
        }
        return nil
    }

    private func sections(_ header: [UInt8]) -> [Section] {
        let start = Self.integer(header, 40, 8)
        let entry = Int(Self.integer(header, 58, 2))
        let count = Int(Self.integer(header, 60, 2))
        guard entry >= 64, let table = bytes(at: start, count: entry * count) else { return [] }
        return (0..<count).map { index in
            let at = index * entry
            return Section(
                type: UInt32(Self.integer(table, at + 4, 4)),
                offset: Self.integer(table, at + 24, 8),
                size: Int(clamping: Self.integer(table, at + 32, 8)),
                link: Int(Self.integer(table, at + 40, 4))
            )
        }
    }

    private func address(of name: String, symbols: Section, names: Section) -> Int64? {
        guard let table = bytes(at: symbols.offset, count: symbols.size),
            let strings = bytes(at: names.offset, count: names.size)
        else { return nil }
        let wanted = Array(name.utf8) + [0]
        for at in stride(from: 0, through: table.count - 24, by: 24) {
            let start = Int(Self.integer(table, at, 4))
            guard start + wanted.count <= strings.count,
                strings[start..<(start + wanted.count)].elementsEqual(wanted)
            else { continue }
            let value = Self.integer(table, at + 8, 8)
            if value > 0 { return value }
        }
        return nil
    }

    private func fileOffset(_ header: [UInt8], of address: Int64) -> Int64? {
        let start = Self.integer(header, 32, 8)
        let entry = Int(Self.integer(header, 54, 2))
        let count = Int(Self.integer(header, 56, 2))
        guard entry >= 56, let table = bytes(at: start, count: entry * count) else { return nil }
        for index in 0..<count where Self.integer(table, index * entry, 4) == 1 {
            let at = index * entry
            let begin = Self.integer(table, at + 16, 8)
            let size = Self.integer(table, at + 32, 8)
            if address >= begin, address - begin < size {
                return Self.integer(table, at + 8, 8) &+ (address - begin)
            }
        }
        return nil
    }

    /// Exactly `count` bytes, or nil.
    private func bytes(at offset: Int64, count: Int) -> [UInt8]? {
        guard offset >= 0, count > 0, count <= Limits.libraryBytes else { return nil }
        var content = [UInt8](repeating: 0, count: count)
        let read = content.withUnsafeMutableBytes { try? file.read(into: $0, at: offset) }
        return read == count ? content : nil
    }

    /// A little-endian number; values beyond `Int64` are cut and fail the checks.
    private static func integer(_ bytes: [UInt8], _ at: Int, _ size: Int) -> Int64 {
        var value: UInt64 = 0
        for index in (0..<size).reversed() { value = value << 8 | UInt64(bytes[at + index]) }
        return Int64(clamping: value)
    }
}
