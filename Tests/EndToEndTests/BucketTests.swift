import Testing

/// Backups in S3, through a server that checks every signature and misbehaves on command.
@Suite struct BucketTests {
    /// Agents and restores (Tests/Oracle/over_s3.py).
    static let backups = [
        "s3_backup",
        "s3_faults",
        "s3_agent_killed",
        "s3_idle",
        "s3_outage",
        "s3_large_snapshot",
        "s3_without_conditions",
        "s3_restore_faults",
    ]

    /// Bad input (Tests/Oracle/s3_refusals.py).
    static let refusals = [
        "s3_wrong_keys",
        "s3_missing_bucket",
        "s3_wrong_region",
        "s3_dots_in_the_bucket",
        "s3_wrong_scheme",
        "s3_unknown_ca",
        "s3_clock_off",
        "s3_html_answers",
        "s3_hostile_listing",
        "s3_storm",
    ]

    /// All of them, in the order of `run.py --list`.
    static let scenarios = backups + refusals

    @Test(arguments: backups)
    func `a bucket holds every commit, whatever happens to requests`(
        _ scenario: String
    ) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: refusals)
    func `bad input over S3 is refused with few requests`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }
}
