import Testing

@testable import Configuration

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("a.db", "*.db"), ("a.db", "*"), ("", "*"), ("a.db", "?.db"), ("abcabd", "*abd"),
        ("a.db", "a.db"), ("aXbXc", "a*b*c"), ("ü.db", "?.db"),
    ])
    func `fits`(name: String, pattern: String) { #expect(NamePattern.matches(name, pattern)) }

    @Test(arguments: [
        ("a.dbx", "*.db"), ("a.db", "?"), ("", "?"), ("a.db", ""), ("abc", "a*bd"),
    ])
    func `does not fit`(name: String, pattern: String) {
        #expect(!NamePattern.matches(name, pattern))
    }

    @Test func `many stars cost no more than name times pattern`() {
        let name = String(repeating: "a", count: 200)
        let pattern = String(repeating: "*a", count: 100) + "*b"
        #expect(!NamePattern.matches(name, pattern))
    }
}
