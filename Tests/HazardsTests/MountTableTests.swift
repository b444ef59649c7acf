import Testing

@testable import Hazards

@Suite struct MountTableTests {
    /// Lines as kernels print them; those with blanks and stacked mounts were captured.
    static let captured = #"""
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resuid=65534
        22 27 0:21 / /proc rw,relatime - proc proc rw
        63 27 0:39 / /srv/we\040ird rw,relatime - tmpfs x rw
        64 63 254:0 /tmp/f /srv/we\040ird/db rw,relatime - ext4 /dev/vda rw
        70 27 0:50 / /data rw,relatime shared:12 master:3 - xfs /dev/sdb rw,attr2
        71 70 0:51 / /data rw,relatime - tmpfs second rw
        72 71 0:52 / /data rw,relatime - tmpfs third rw
        80 27 0:60 / /hidden/below rw - tmpfs below rw
        81 27 0:61 / /hidden rw - ext4 /dev/sdc rw
        90 27 0:70 / /back\134slash\011tab\012line rw - fuse.sshfs me@host:/x rw,user_id=0
        """#

    let table = MountTable(parsing: captured)

    @Test func `every line is read, with its tags left out`() throws {
        #expect(table.mounts.count == 10)
        let mount = try #require(table.mounts.first { $0.id == 70 })
        #expect(mount.parent == 27)
        #expect(mount.type == "xfs")
        #expect(mount.source == "/dev/sdb")
        #expect(mount.superOptions == ["rw", "attr2"])
    }

    @Test func `octal escapes are undone`() {
        #expect(table.mount(of: "/srv/we ird/file")?.source == "x")
        #expect(table.mount(of: "/back\\slash\ttab\nline/a")?.type == "fuse.sshfs")
        #expect(Mount.unescaped(#"a\040b\134\1"#) == #"a b\\1"#)
        #expect(Mount.unescaped(#"\777\08"#) == #"\777\08"#)
    }

    @Test func `a mounted file is its own mount point`() {
        #expect(table.mount(of: "/srv/we ird/db")?.point == "/srv/we ird/db")
        #expect(table.mount(of: "/srv/we ird/db-wal")?.point == "/srv/we ird")
    }

    @Test func `the last of stacked mounts is the one that is seen`() {
        #expect(table.mount(of: "/data/app.db")?.source == "third")
        #expect(table.mount(of: "/database")?.point == "/")
    }

    @Test func `a mount higher up hides one that was there before`() {
        // The longest mount point is /hidden/below, but nobody gets there any more.
        #expect(table.mount(of: "/hidden/below/app.db")?.source == "/dev/sdc")
    }

    @Test func `a table without a root gives the longest mount point`() {
        let table = MountTable(
            parsing: """
                2 1 0:2 / /a rw - tmpfs a rw
                3 1 0:3 / /a/b rw - tmpfs b rw
                4 1 0:4 / /a/b rw - tmpfs c rw
                """
        )
        #expect(table.mount(of: "/a/b/c")?.source == "c")
        #expect(table.mount(of: "/a/x")?.source == "a")
        #expect(table.mount(of: "/z") == nil)
    }

    @Test func `lines that are none are left out`() {
        let table = MountTable(parsing: "\n \nnonsense\n1 2 3:4 / /x rw\n1 x 3:4 / /x rw - a b c\n")
        #expect(table.mounts.isEmpty)
        #expect(table.mount(of: "/x") == nil)
    }

    @Test func `the table of this machine has a root`() throws {
        let table = try MountTable.current()
        #expect(table.mount(of: "/") != nil)
        #expect(table.mount(of: "/proc/self")?.type == "proc")
    }
}
