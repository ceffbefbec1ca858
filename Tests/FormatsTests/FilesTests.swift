import Formats
import Glibc
import TestSupport
import Testing

@Suite struct FilesTests {
  @Test func readsWithinItsLimit() throws {
    let folder = TemporaryFolder()
    let path = folder.write("x", "hello")
    #expect(try Files.read(path, maximumBytes: 5) == Array("hello".utf8))
    let error = #expect(throws: FileError.self) { try Files.read(path, maximumBytes: 4) }
    #expect(error?.reason == .tooLarge(bytes: 5, limit: 4))
    #expect(try Files.read(folder.write("empty", "")).isEmpty)
  }

  @Test func refusesWhatIsNoFile() {
    let folder = TemporaryFolder()
    let pipe = "\(folder.path)/pipe"
    mkfifo(pipe, 0o644)
    for path in [folder.path, pipe, "/dev/zero"] {
      let error = #expect(throws: FileError.self) { try Files.read(path) }
      #expect(error?.reason == .notAFile)
    }
    let error = #expect(throws: FileError.self) { try Files.read("\(folder.path)/none") }
    #expect(error?.reason == .system(ENOENT))
    #expect(error?.description.contains("check the path") == true)
  }

  @Test func writesInOneStep() throws {
    let folder = TemporaryFolder()
    let path = folder.write("x", "old")
    try Files.write("new", to: path)
    #expect(try Files.read(path) == Array("new".utf8))
    try Files.write([UInt8](), to: path)
    #expect(try Files.read(path).isEmpty)
    #expect(folder.names == ["x"])
    #expect(throws: FileError.self) { try Files.write("x", to: "\(folder.path)/none/x") }
    #expect(throws: FileError.self) { try Files.write("x", to: folder.path) }
    #expect(folder.names == ["x"])
  }

  @Test func copiesBytes() throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 2)
    let bytes = (0..<5_000_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let source = folder.write("x", bytes)
    try Files.copy(source, to: "\(folder.path)/y")
    #expect(try Files.read("\(folder.path)/y") == bytes)
  }

  @Test func removesTreesWithoutFollowingLinks() throws {
    let folder = TemporaryFolder()
    let kept = folder.write("kept/x", "1")
    folder.write("tree/a", "1")
    folder.write("tree/b/c", "1")
    symlink("\(folder.path)/kept", "\(folder.path)/tree/link")
    try Files.remove("\(folder.path)/tree")
    #expect(folder.names == ["kept"])
    #expect(Files.exists(kept))
  }
}

@Suite struct OutputFolderTests {
  @Test func appearsWhole() throws {
    let folder = TemporaryFolder()
    let output = try OutputFolder("\(folder.path)/a/b/out/")
    #expect(output.path == "\(folder.path)/a/b/out")
    try Files.write("1", to: output.path(of: "x"))
    #expect(!Files.exists(output.path))
    try output.commit()
    #expect(try Files.names(inFolder: output.path) == ["x"])
    #expect(try Files.names(inFolder: "\(folder.path)/a/b") == ["out"])
    let again = #expect(throws: FileError.self) { try output.commit() }
    #expect(again?.reason == .alreadyCommitted)
  }

  @Test func refusesAnExistingFolder() throws {
    let folder = TemporaryFolder()
    folder.write("out/old", "1")
    let error = #expect(throws: FileError.self) { try OutputFolder("\(folder.path)/out") }
    #expect(error?.reason == .exists)
    #expect(folder.names == ["out"])
  }

  @Test func refusesAFolderMadeMeanwhile() throws {
    let folder = TemporaryFolder()
    let output = try OutputFolder("\(folder.path)/out")
    folder.write("out/other", "1")
    #expect(throws: FileError.self) { try output.commit() }
    #expect(try Files.names(inFolder: "\(folder.path)/out") == ["other"])
  }

  @Test func replacesOnlyAtTheEnd() throws {
    let folder = TemporaryFolder()
    folder.write("out/old", "1")
    let output = try OutputFolder("\(folder.path)/out", force: true)
    try Files.write("2", to: output.path(of: "new"))
    #expect(try Files.names(inFolder: output.path) == ["old"])
    try output.commit()
    #expect(try Files.names(inFolder: output.path) == ["new"])
    #expect(folder.names == ["out"])
  }

  @Test func anAbandonedFolderLeavesTheOldOne() throws {
    let folder = TemporaryFolder()
    folder.write("out/old", "1")
    do {
      let output = try OutputFolder("\(folder.path)/out", force: true)
      try Files.write("2", to: output.path(of: "new"))
      #expect(folder.names.count == 2)
    }
    #expect(folder.names == ["out"])
    #expect(try Files.names(inFolder: "\(folder.path)/out") == ["old"])
  }

  @Test func neverReplacesWhatHoldsItsInput() throws {
    let folder = TemporaryFolder()
    folder.write("out/dense/model", "1")
    for target in ["out", "out/dense"] {
      let error = #expect(throws: FileError.self) {
        try OutputFolder(
          "\(folder.path)/\(target)", force: true, keeping: ["\(folder.path)/out/dense"])
      }
      guard case .holdsInput? = error?.reason else {
        Issue.record("\(target): \(String(describing: error))")
        continue
      }
    }
    #expect(Files.exists("\(folder.path)/out/dense/model"))
  }

  @Test func aLockedFolderIsRefused() throws {
    let folder = TemporaryFolder()
    let lock = try FolderLock(folder.path)
    let error = #expect(throws: FileError.self) { try FolderLock(folder.path) }
    #expect(error?.reason == .inUse)
    withExtendedLifetime(lock) {}
  }

  @Test func aStagingFolderGoesWithItsReference() throws {
    let folder = TemporaryFolder()
    folder.write(".work-4000000/x", "of a killed process")
    folder.write(".work-mine/x", "1")
    folder.write("work", "1")
    do {
      let staging = try StagingFolder(prefix: ".work-", in: folder.path)
      try Files.write("1", to: "\(staging.path)/x")
      #expect(folder.names.count == 3 && !folder.names.contains(".work-4000000"))
      withExtendedLifetime(staging) {}
    }
    #expect(folder.names == [".work-mine", "work"])
  }

  @Test func sweepsWhatAKilledProcessLeft() throws {
    let folder = TemporaryFolder()
    folder.write(".out.partial-4000000/model", "1")
    folder.write(".out.partial-4000000-replaced/model", "the only copy")
    let inUse = try OutputFolder("\(folder.path)/out")
    let output = try OutputFolder("\(folder.path)/out")
    #expect(!Files.exists("\(folder.path)/.out.partial-4000000"))
    #expect(Files.exists("\(folder.path)/.out.partial-4000000-replaced/model"))
    #expect(Files.exists(inUse.stagingPath))
    try output.commit()
    _ = try OutputFolder("\(folder.path)/out", force: true)
    #expect(!Files.exists("\(folder.path)/.out.partial-4000000-replaced"))
  }

  @Test(arguments: ["/", ".", ".."])
  func neverReplacesTheWorkingFolder(path: String) {
    let error = #expect(throws: FileError.self) { try OutputFolder(path, force: true) }
    #expect(error?.reason == .unsafeReplacement)
  }

  @Test func neverReplacesAFile() {
    let folder = TemporaryFolder()
    let path = folder.write("out", "1")
    let error = #expect(throws: FileError.self) { try OutputFolder(path, force: true) }
    #expect(error?.reason == .notAFolder)
  }
}
