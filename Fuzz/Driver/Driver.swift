import Glibc

/// The decoder that HIGHWATER_FUZZ names; `make fuzz` runs one after another.
private let chosen: FuzzTarget = {
    let name = getenv("HIGHWATER_FUZZ").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else {
        print("error: HIGHWATER_FUZZ is none of \(FuzzTarget.all.map(\.name))")
        exit(2)
    }
    return target
}()

/// What libFuzzer, which has the `main`, calls for each input
/// (llvm.org/docs/LibFuzzer.html#fuzz-target).
@_cdecl("LLVMFuzzerTestOneInput")
func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    chosen.run(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
}
