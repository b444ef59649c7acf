import Bytes

extension Fleet {
    /// What verifications by schedule found; nothing where there are none.
    func addVerification(_ samples: [Sample], to metrics: inout Metrics) {
        func gauge(
            _ name: String,
            _ help: String,
            _ value: (VerificationRecord, Sample) -> Double?
        ) {
            metrics.add(
                name,
                .gauge,
                help,
                samples.compactMap { sample in
                    sample.verification.flatMap { value($0, sample) }.map { (sample.labels, $0) }
                }
            )
        }
        gauge(
            "verify_timestamp_seconds",
            "When the last verification ended without any doubt."
        ) { record, _ in record.verifiedAt.map { Double($0.milliseconds) / 1000 } }
        gauge(
            "verify_due_timestamp_seconds",
            "By when the next verification without any doubt should have ended."
        ) { record, sample in record.due(sample.assignment.verify) }
        gauge("verify_findings", "What the last verification found.") { record, _ in
            record.findings.map(Double.init)
        }
        gauge("verify_seconds", "How long the last verification took.") { record, _ in
            record.seconds
        }
        metrics.add(
            "verify_runs_total",
            .counter,
            "Verifications, by what they came to.",
            samples.flatMap { sample in
                guard let record = sample.verification else { return [Metrics.Sample]() }
                return VerificationRecord.Result.allCases.map { result in
                    (
                        sample.labels + [("result", result.rawValue)],
                        Double(record.runs[result] ?? 0)
                    )
                }
            }
        )
    }
}
