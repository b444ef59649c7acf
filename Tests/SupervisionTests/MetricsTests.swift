import Testing

@testable import Supervision

@Suite struct MetricsTests {
    @Test func `the text is what Prometheus reads`() {
        var metrics = Metrics()
        metrics.add("a_total", .counter, "What.", [([("database", "/x \"y\"\\z\n")], 3)])
        metrics.add("b", .gauge, "Why.", [([], 0.25)])
        metrics.add("c", .gauge, "Nothing of it.", [])
        let expected = #"""
            # HELP highwater_a_total What.
            # TYPE highwater_a_total counter
            highwater_a_total{database="/x \"y\"\\z\n"} 3
            # HELP highwater_b Why.
            # TYPE highwater_b gauge
            highwater_b 0.25

            """#
        #expect(metrics.text == expected)
    }
}
