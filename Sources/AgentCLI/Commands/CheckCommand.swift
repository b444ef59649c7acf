import ArgumentParser
import ObjectStorage
import Platform
import S3
import StoreCheck

/// `highwater check`.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Try out whether a store can hold backups.",
        discussion: """
            Lists, stores, reads, and deletes objects below the URL, under a name of its own, and \
            says what works. The exit code is 0 when backups work, with or without warnings.
            """
    )

    @OptionGroup var source: PlaceOptions

    @Flag(name: .both("no-large"), help: "Do not store an object of several parts (8 MiB).")
    var noLarge = false

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    private struct Row: Encodable {
        var step: String
        var result: String
        var detail: String
        var milliseconds: Int64
    }

    private struct Report: Encodable {
        var version = 1
        var url: String
        var ok: Bool
        var warnings: Int
        var steps: [Row]
    }

    func run() async throws {
        let place = try source.named().place
        let opened = try source.store(ThreadExecutor(threads: 2))
        guard let store = opened as? any CheckedStore else {
            throw StoreError(.unsupported, .open, object: "\(place)", "this store has no check")
        }
        let isJSON = json
        let findings = await StoreCheck(store, includesLarge: !noLarge).run { finding in
            if !isJSON { print(Self.line(finding)) }
        }
        let failures = findings.filter { $0.result == .failed }
        let warnings = findings.count { $0.result == .warning }
        if json {
            let rows = findings.map {
                Row(
                    step: $0.step.rawValue,
                    result: $0.result.rawValue,
                    detail: $0.detail,
                    milliseconds: $0.milliseconds
                )
            }
            try JSONOutput.print(
                Report(
                    url: "\(place)",
                    ok: failures.isEmpty,
                    warnings: warnings,
                    steps: rows
                )
            )
        } else {
            print(Self.verdict(failures: failures.count, warnings: warnings))
        }
        if let first = failures.first { throw CheckFailed(finding: first) }
    }

    private static func line(_ finding: Finding) -> String {
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        return padded(finding.step.rawValue, 12) + padded(finding.result.rawValue, 9)
            + padded("\(finding.milliseconds) ms", 9) + finding.detail
    }

    private static func verdict(failures: Int, warnings: Int) -> String {
        if failures > 0 { return "backups do not work here: \(failures) steps failed" }
        return warnings == 0 ? "backups work here" : "backups work here, with \(warnings) warnings"
    }
}

/// A check in which something failed; the exit code follows from what.
struct CheckFailed: Error, CustomStringConvertible {
    let finding: Finding

    /// The store's own error, if that is what it was.
    var cause: StoreError? { finding.error }

    var description: String {
        "check failed at '\(finding.step.rawValue)': \(finding.detail)"
    }
}
