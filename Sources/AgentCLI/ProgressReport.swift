import Bytes
import Glibc
import Platform
import Restore

/// Shows how far a restore has come: a bar on a terminal, a line each ten seconds otherwise, or
/// JSON events.
struct ProgressReport: Sendable {
    enum Style { case bar, lines, json, none }

    let progress: RestoreProgress
    let style: Style

    /// The style for standard error as it is; JSON events go to standard output.
    static func style(json: Bool) -> Style {
        if json { return .json }
        return isatty(2) == 1 ? .bar : .lines
    }

    /// One event of `-json`.
    private struct Event: Encodable {
        var event = "progress"
        var version = 1
        var phase: String
        var doneBytes: UInt64
        var totalBytes: UInt64?
        var fetchedBytes: UInt64
        var bytesPerSecond: UInt64
        var etaSeconds: Double?
    }

    /// Runs `body` and shows progress meanwhile.
    func run<T: Sendable>(
        on executor: ThreadExecutor,
        _ body: @Sendable @escaping () async throws -> T
    ) async throws -> T {
        guard style != .none else { return try await body() }
        let finished = try WakeUp()
        return try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask(executorPreference: executor) {
                try show(until: finished)
                return nil
            }
            group.addTask(executorPreference: executor) {
                defer { finished.raise() }
                return try await body()
            }
            var result: T?
            while let value = try await group.next() { result = value ?? result }
            guard let result else { throw CancellationError() }
            return result
        }
    }

    private func show(until finished: WakeUp) throws {
        let interval =
            switch style {
            case .bar: 100 * Nanoseconds.millisecond
            case .json: Nanoseconds.second
            case .lines, .none: 10 * Nanoseconds.second
            }
        var phase = RestoreProgress.Phase.planning
        var began = MonotonicTime.now
        while true {
            let ready = try Readiness.wait(
                finished.descriptor.rawValue,
                -1,
                nanoseconds: interval
            )
            if ready.first { break }
            let reading = progress.reading
            if reading.phase != phase {
                phase = reading.phase
                began = .now
            }
            try show(reading, seconds: Double(MonotonicTime.now - began) / 1e9)
        }
        if style == .bar { StandardError.write("\r\u{1b}[K") }
    }

    private func show(_ reading: RestoreProgress.Reading, seconds: Double) throws {
        let rate = seconds > 0.05 ? Double(reading.done) / seconds : 0
        let isKnown = reading.total > 0
        let rest = reading.total > reading.done ? Double(reading.total - reading.done) : 0
        let eta = isKnown && rate > 1 ? rest / rate : nil
        if style == .json {
            let event = Event(
                phase: reading.phase.rawValue,
                doneBytes: reading.done,
                totalBytes: isKnown ? reading.total : nil,
                fetchedBytes: reading.fetched,
                bytesPerSecond: UInt64(rate),
                etaSeconds: eta
            )
            return try JSONOutput.print(event)
        }
        var text = reading.phase.rawValue
        if isKnown {
            let share = min(1, Double(reading.done) / Double(reading.total))
            if style == .bar {
                let filled = Int(share * 24)
                text += " [" + String(repeating: "#", count: filled)
                text += String(repeating: ".", count: 24 - filled) + "]"
            }
            text += " \(Int(share * 100))%  \(Self.size(reading.done)) of "
            text += "\(Self.size(reading.total))  \(Self.size(UInt64(rate)))/s"
            if let eta { text += "  \(Int(eta.rounded(.up))) s left" }
        }
        StandardError.write(style == .bar ? "\r\u{1b}[K\(text)" : "\(text)\n")
    }

    /// Bytes as people read them.
    static func size(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 || unit == "GiB" {
                let tenths = Int((value * 10).rounded())
                return unit == "B" ? "\(bytes) B" : "\(tenths / 10).\(tenths % 10) \(unit)"
            }
            value /= 1024
        }
        return "\(bytes) B"
    }
}
