import Testing

@testable import Replication

@Suite struct DescriptorBudgetTests {
    @Test func `no more databases are followed than there are files for`() throws {
        let budget = DescriptorBudget(limit: 82)
        #expect(budget.places == 3)
        for name in ["a", "b", "c"] { try budget.take(for: name) }
        let error = #expect(throws: ReplicationError.self) { try budget.take(for: "d") }
        #expect(error?.code == .tooManyDatabases && error?.isRetryable == false)
        #expect(error?.message.contains("'d' is not backed up") == true)
        budget.giveBack()
        try budget.take(for: "d")
    }

    @Test func `one database always has its place`() throws {
        for limit: UInt64 in [0, 5, 70] {
            let budget = DescriptorBudget(limit: limit)
            try budget.take(for: "a")
            #expect(throws: ReplicationError.self) { try budget.take(for: "b") }
        }
        #expect(DescriptorBudget(limit: .max).places > 1_000_000)
    }
}
