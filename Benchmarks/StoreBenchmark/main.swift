import Glibc
import ObjectStorage
import Platform
import S3

/// Measures the S3 client by itself, for Benchmarks/s3.py:
///
///     StoreBenchmark put COUNT BYTES URL      one small object after the other
///     StoreBenchmark upload FILE URL          a large object, from a file
///     StoreBenchmark download URL             the same, in ranges, eight at a time
///
/// Keys come from the environment. Prints one object of JSON: seconds for each request or for the
/// whole, CPU seconds, and the peak of resident memory.
struct Measurement {
    static let executor = ThreadExecutor(threads: 2)
    static let large = ObjectKey("large")!

    static func store(_ url: String) throws -> S3Store {
        guard case .bucket(let bucket) = try StoreURL.parse(url) else {
            throw StoreError(.unsupported, .open, object: url, "this measures s3:// only")
        }
        var environment: [String: String] = [:]
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            environment[name] = getenv(name).map { String(cString: $0) }
        }
        return try S3Store(
            bucket,
            environment: environment,
            policy: .interactive,
            executor: executor
        )
    }

    static var cpuSeconds: Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        let micros = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(micros) / 1e6
    }

    static var peakBytes: Int {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage.ru_maxrss * 1024
    }

    static func seconds(since start: MonotonicTime) -> Double {
        Double(MonotonicTime.now - start) / 1e9
    }

    static func put(count: Int, bytes: Int, _ store: S3Store) async throws {
        let content = (0..<bytes).map { _ in UInt8.random(in: 0...255) }
        // The first request connects and, with Ceph, makes the bucket's index warm.
        for number in 0..<5 {
            try await store.put(ObjectKey(checking: "warm-\(number)", for: .put), bytes: content)
        }
        let cpu = cpuSeconds
        var took: [Double] = []
        for number in 0..<count {
            let key = try ObjectKey(checking: "small-\(number)", for: .put)
            let start = MonotonicTime.now
            try await store.put(key, bytes: content)
            took.append(seconds(since: start))
        }
        report(took, cpu: cpuSeconds - cpu)
    }

    static func upload(_ path: String, _ store: S3Store) async throws {
        let body = try await FileBody(path: path, executor: executor)
        let cpu = cpuSeconds
        let start = MonotonicTime.now
        try await store.put(large, body: body, ifAbsent: false)
        report([seconds(since: start)], cpu: cpuSeconds - cpu)
    }

    static func download(_ store: S3Store) async throws {
        let cpu = cpuSeconds
        let start = MonotonicTime.now
        let size = try await store.head(large)?.size ?? 0
        let step: UInt64 = 4 << 20
        try await withThrowingTaskGroup(of: Int.self) { group in
            var next: UInt64 = 0
            var received = 0
            func add() {
                guard next < size else { return }
                let range = next..<min(size, next + step)
                next = range.upperBound
                group.addTask { try await store.get(large, range: range).count }
            }
            for _ in 0..<6 { add() }
            while let count = try await group.next() {
                received += count
                add()
            }
            precondition(received == Int(size), "\(received) bytes of \(size)")
        }
        report([seconds(since: start)], cpu: cpuSeconds - cpu)
    }

    static func report(_ took: [Double], cpu: Double) {
        let list = took.map { "\($0)" }.joined(separator: ",")
        print(#"{"seconds": [\#(list)], "cpu_seconds": \#(cpu), "peak_bytes": \#(peakBytes)}"#)
    }
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "put" where arguments.count == 4:
    let store = try Measurement.store(arguments[3])
    try await Measurement.put(
        count: Int(arguments[1]) ?? 100,
        bytes: Int(arguments[2]) ?? 1000,
        store
    )
case "upload" where arguments.count == 3:
    try await Measurement.upload(arguments[1], Measurement.store(arguments[2]))
case "download" where arguments.count == 2:
    try await Measurement.download(Measurement.store(arguments[1]))
default:
    print("usage: StoreBenchmark put COUNT BYTES URL | upload FILE URL | download URL")
    exit(2)
}
