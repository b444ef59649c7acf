import Testing

@Suite struct CodeScannerTests {
    @Test func `comments and strings are blanked`() {
        let text = "let a = \"Task { // x\" // Task {\n/* Task { /* */ */ let b = #\"\"\"#\n"
        #expect(
            CodeScanner.codeOnly(text).map { $0.filter { $0 != " " } } == ["leta=", "letb="]
        )
    }

    @Test func `interpolated strings end where they end`() {
        let text = "f(\"a \\(g(\"x\")) b\") { 1 }\n"
        #expect(CodeScanner.codeOnly(text).map { $0.filter { $0 != " " } } == ["f(){1}"])
    }

    @Test func `functions are measured and requirements are not`() {
        let text = """
            protocol P {
                func a() async throws
                func b(
                    x: Int
                ) -> Int
            }
            struct S {
                package init?(x: Int) {
                    y()
                }
                private static func c<T>(
                    x: T
                ) where T: P {
                    if true { "}" }
                }
            }

            """
        let functions = CodeScanner.functions(in: CodeScanner.codeOnly(text))
        #expect(functions.map(\.name) == ["init", "c"])
        #expect(functions.map(\.lineCount) == [3, 5])
    }
}
