import Bytes
import Hazards
import Platform
import Replication

/// Writes metrics in Prometheus' text format
/// (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4).
struct Metrics {
    private(set) var text = ""

    /// The media type of the text.
    static let type = "text/plain; version=0.0.4; charset=utf-8"

    /// What a metric does over time.
    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    /// Labels and a value.
    typealias Sample = (labels: [(String, String)], value: Double)

    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        head(name, kind, help)
        for sample in samples { line(name, sample.labels, sample.value) }
    }

    private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP highwater_\(name) \(help)\n# TYPE highwater_\(name) \(kind.rawValue)\n"
    }

    private mutating func line(_ name: String, _ labels: [(String, String)], _ value: Double) {
        text += "highwater_" + name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }
            text += "{" + pairs.joined(separator: ",") + "}"
        }
        text += " \(Self.number(value))\n"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 9e15 ? "\(Int64(value))" : "\(value)"
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }

    /// The histogram of upload times.
    mutating func addUploadTimes(_ samples: [Fleet.Sample]) {
        guard !samples.isEmpty else { return }
        let name = "upload_seconds"
        head(name, .histogram, "Time from the first byte of an object to its acknowledgement.")
        for sample in samples {
            let labels = sample.labels
            for (bound, count) in zip(AgentMeter.uploadBounds, sample.reading.uploadsWithin) {
                line(name + "_bucket", labels + [("le", "\(bound)")], Double(count))
            }
            let count = Double(sample.reading.uploads)
            line(name + "_bucket", labels + [("le", "+Inf")], count)
            line(name + "_sum", labels, Double(sample.reading.uploadTime) / 1e9)
            line(name + "_count", labels, count)
        }
    }
}

extension Fleet.Sample {
    var labels: [(String, String)] {
        [("database", assignment.database), ("replica", assignment.replica)]
    }
}

extension Fleet {
    /// All metrics of the process.
    package func metrics(_ process: ProcessFacts) -> [UInt8] {
        var metrics = Metrics()
        let samples = samples()
        addProcess(process, samples, to: &metrics)
        for metric in ReadingMetric.all {
            metrics.add(
                metric.name,
                metric.kind,
                metric.help,
                samples.compactMap { sample in
                    metric.value(sample.reading).map { (sample.labels, $0) }
                }
            )
        }
        metrics.addUploadTimes(samples)
        addSplit(samples, to: &metrics)
        addVerification(samples, to: &metrics)
        return Array(metrics.text.utf8)
    }

    /// Metrics with a label of their own.
    private func addSplit(_ samples: [Sample], to metrics: inout Metrics) {
        metrics.add(
            "wal_resets_total",
            .counter,
            "Resets of the WAL: under the write lock, or while nobody wrote.",
            samples.flatMap { sample in
                [
                    (sample.labels + [("kind", "forced")], Double(sample.reading.forcedResets)),
                    (sample.labels + [("kind", "quiet")], Double(sample.reading.quietResets)),
                ]
            }
        )
        metrics.add(
            "upload_errors_total",
            .counter,
            "Uploads that failed and were tried again.",
            samples.flatMap { sample in
                sample.reading.uploadErrors.sorted { $0.key < $1.key }.map { kind, count in
                    (sample.labels + [("class", kind)], Double(count))
                }
            }
        )
        metrics.add(
            "hazard",
            .gauge,
            "1 for each hazard that was found; docs/HAZARDS.md says what it means.",
            samples.flatMap { sample in
                sample.hazards.map { finding in
                    let kind = [
                        ("hazard", "\(finding.code.rawValue)"), ("verdict", "\(finding.verdict)"),
                    ]
                    return (sample.labels + kind, 1)
                }
            }
        )
    }

    private func addProcess(
        _ process: ProcessFacts,
        _ samples: [Sample],
        to metrics: inout Metrics
    ) {
        metrics.add("build_info", .gauge, "Always 1.", [([("version", process.version)], 1)])
        metrics.add(
            "start_time_seconds",
            .gauge,
            "When the process began.",
            [([], Double(process.start.milliseconds) / 1000)]
        )
        let phases = AgentMeter.Phase.allCases.map { phase in
            ([("status", phase.rawValue)], Double(samples.count { $0.reading.phase == phase }))
        }
        metrics.add("replicas", .gauge, "Databases on their way to a place, by status.", phases)
        let usage = ResourceUsage.current
        metrics.add("resident_bytes", .gauge, "Memory in use.", [([], Double(usage.residentBytes))])
        metrics.add("open_files", .gauge, "Descriptors in use.", [([], Double(usage.descriptors))])
        let limit = Double(FileSystem.descriptorLimit)
        metrics.add("open_files_max", .gauge, "Descriptors that it may use.", [([], limit)])
        metrics.add("cpu_seconds_total", .counter, "Processor time.", [([], usage.cpuSeconds)])
    }
}
