// A program without a race, which the thread sanitizer of Swift 6.3.1 reports on Linux:
//     swiftc -O -sanitize=thread -parse-as-library Tests/Sanitizers/handover.swift && ./handover

import Glibc

final class Box: Sendable {
    let continuation: CheckedContinuation<[String], Never>

    init(_ continuation: CheckedContinuation<[String], Never>) {
        self.continuation = continuation
    }
}

@inline(never) func make(_ count: Int) -> [String] {
    var made: [String] = []
    for number in 0..<count { made.append("number \(number)") }
    return made
}

@main
struct Handover {
    static func main() async {
        var total = 0
        for _ in 0..<2000 {
            let made = await withCheckedContinuation { continuation in
                let box = Unmanaged.passRetained(Box(continuation)).toOpaque()
                var thread = pthread_t()
                pthread_create(
                    &thread,
                    nil,
                    { box in
                        let box = Unmanaged<Box>.fromOpaque(box!).takeRetainedValue()
                        box.continuation.resume(returning: make(5))
                        return nil
                    },
                    box
                )
                pthread_detach(thread)
            }
            for text in made { total += text.utf8.count }
        }
        print(total)
    }
}
