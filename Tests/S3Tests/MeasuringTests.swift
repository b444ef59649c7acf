import Bytes
import Foundation
import ObjectStorage
import Platform
import S3
import Synchronization
import Testing

private let measuredURL = ProcessInfo.processInfo.environment["HIGHWATER_S3_MEASURE"]

/// Numbers for docs/BENCHMARKS.md, against a store that `HIGHWATER_S3_MEASURE` names by its URL:
///
///     AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… HIGHWATER_S3_MEASURE='s3://b/p?endpoint=…' \
///         swift test --skip-build --filter MeasuringTests
@Suite(.serialized, .enabled(if: measuredURL != nil, "HIGHWATER_S3_MEASURE is not set"))
struct MeasuringTests {
    func store() throws -> S3Store {
        guard case .bucket(let place) = try StoreURL.parse(measuredURL ?? "") else { fatalError() }
        return try S3Store(
            place,
            environment: ProcessInfo.processInfo.environment,
            policy: .interactive,
            executor: ThreadExecutor(threads: 2)
        )
    }

    /// User and system CPU of this process, in microseconds.
    func cpu() -> Int {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000
            + Int(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
    }

    func report(_ name: String, bytes: Int, _ body: () async throws -> Void) async throws {
        let (started, cpuBefore) = (MonotonicTime.now, cpu())
        try await body()
        let seconds = Double(MonotonicTime.now - started) / 1e9
        let used = cpu() - cpuBefore
        let rate = Int(Double(bytes) / seconds / 1e6)
        print("measured: \(name): \(rate) MB/s, \(Int(seconds * 1000)) ms, CPU \(used / 1000) ms")
    }

    @Test func `CPU of a signature`() throws {
        let signer = Signer(region: "us-east-1")
        let credentials = Credentials(
            accessKeyID: "A",
            secretAccessKey: "S",
            source: "test"
        )
        let hash = Digester.hex("x")
        let (started, count) = (cpu(), 20_000)
        for number in 0..<count {
            let request = UnsignedRequest(
                method: "PUT",
                path: "/bucket/app/highwater-1/20261124T001530123Z-1a2b3c4d/00/\(number)",
                headers: [
                    (name: "host", value: "127.0.0.1:9000"),
                    (name: "content-md5", value: "1B2M2Y8AsgTpgAmY7PhCfg=="),
                    (name: "x-amz-content-sha256", value: hash),
                    (name: "x-amz-date", value: "20261124T001530Z"),
                ],
                payloadHash: hash
            )
            _ = signer.sign(request, with: credentials, date: "20261124T001530Z")
        }
        print("measured: a signature: \((cpu() - started) * 1000 / count) ns of CPU")
    }

    @Test func `small writes on a warm connection`() async throws {
        let store = try store()
        let bytes = [UInt8](repeating: 7, count: 2000)
        try await store.put(ObjectKey("warm")!, bytes: bytes)
        var times: [Int64] = []
        let cpuBefore = cpu()
        for number in 0..<500 {
            let started = MonotonicTime.now
            try await store.put(ObjectKey("small/\(number)")!, bytes: bytes)
            times.append(MonotonicTime.now - started)
        }
        times.sort()
        let used = (cpu() - cpuBefore) / times.count
        let (median, tail) = (times[250] / 1000, times[475] / 1000)
        print("measured: small PUT: median \(median) µs, p95 \(tail) µs, CPU \(used) µs")
        try await store.delete(try await store.list(prefix: "small/").map(\.key))
    }

    @Test func `a large body up and down`() async throws {
        let store = try store()
        let size = 256 << 20
        let key = ObjectKey("large")!
        let body = UploadTests.Pieces(left: size, piece: 256 * 1024)
        try await report("upload", bytes: size) {
            try await store.put(key, body: body, ifAbsent: false)
        }
        try await report("download", bytes: size) {
            try await withThrowingTaskGroup(of: Int.self) { group in
                let part = 4 << 20
                for start in stride(from: 0, to: size, by: part) {
                    let range = UInt64(start)..<UInt64(start + part)
                    if start >= part * 4 { _ = try await group.next() }
                    group.addTask { try await store.get(key, range: range).count }
                }
                try await group.waitForAll()
            }
        }
        try await store.delete([key])
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        print("measured: \(status.split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? "")")
    }
}
