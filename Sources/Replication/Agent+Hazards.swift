import Hazards
import Platform

extension Agent {
    /// The start guard of DESIGN §9: looks at the set-up before any connection exists, and refuses
    /// to go on when it is known to lose data. When the agent attaches again (`isFirst` is false),
    /// it goes on whatever it finds, without checkpoints after something fatal.
    func guardStart(_ path: String, isFirst: Bool) async throws -> HazardWatch {
        let (alarm, log, stop) = (alarm, log, stop)
        var options = settings.hazards
        options.isStartAllowed = options.isStartAllowed || !isFirst
        let chosen = options
        return try await host.executor.run {
            let start = try StartGuard(
                database: path,
                localFolder: LocalState(databasePath: path).folder,
                options: chosen,
                alarm: alarm,
                report: { Self.report($0, database: path, log: log) }
            )
            try start.check { stop.isRequested }
            return start.watch
        }
    }

    /// A finding as a log line: what it is, and what to do.
    static func report(_ finding: Finding, database: String, log: ReplicationLog) {
        log(
            finding.verdict >= .high ? .error : .warning,
            "hazard",
            [
                ("code", finding.code.rawValue), ("verdict", "\(finding.verdict)"),
                ("database", database), ("message", finding.message),
                ("remedy", finding.remedy),
            ]
        )
    }
}
