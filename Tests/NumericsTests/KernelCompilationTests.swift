import Formats
import Glibc
import Numerics
import TestSupport
import Testing

/// Every CUDA kernel compiles, also on machines without a GPU. Needs NVRTC (Scripts/test.sh fetches
/// it); without it these tests say so and pass.
@Suite struct KernelCompilationTests {
  /// A compiler; `nil` where there is none and none is required.
  private func compiler(_ architecture: String) -> KernelCompiler? {
    let compiler = try? KernelCompiler(CUDALibraries(), architecture: architecture)
    if compiler == nil {
      print("NVRTC was not found: CUDA kernels are not compiled")
      #expect(getenv("HERD_REQUIRE_KERNELS") == nil, "HERD_REQUIRE_KERNELS is set")
    }
    return compiler
  }

  @Test func whatShortSharedMemoryNeedsCompiles() throws {
    guard let compiler = compiler("sm_89") else { return }
    for variant in KernelFile.allCases.flatMap(KernelFile.shortMemoryVariants) {
      #expect(try !compiler.compile(variant).isEmpty, "\(variant)")
    }
  }

  @Test func aStaleFileDoesNotKeepAnEntryFromTheCache() throws {
    guard let compiler = compiler("sm_80") else { return }
    let folder = TemporaryFolder()
    let cache = KernelCache(folder: "\(folder.path)/kernels")
    let variant = KernelVariant(.indicator, .f32)
    let code = try cache.code(variant, compiler)
    let entries = try Files.names(inFolder: "\(folder.path)/kernels")
    let entry = try #require(entries.count == 1 ? entries.first : nil)
    // What a process of this number left behind, of an entry that is damaged.
    folder.write("kernels/\(entry).\(getpid())", [1])
    folder.write("kernels/\(entry)", [2])
    #expect(try cache.code(variant, compiler) == code)
    let size = try Files.read("\(folder.path)/kernels/\(entry)").count
    #expect(size > code.count)
    #expect(try cache.code(variant, compiler) == code)
  }

  @Test func anEntryThatSeveralNeedAtOnceIsMadeForAll() throws {
    guard let compiler = compiler("sm_80") else { return }
    let folder = TemporaryFolder()
    let cache = KernelCache(folder: "\(folder.path)/kernels")
    let variant = KernelVariant(.indicator, .f32)
    let workers = try (0..<3).map { _ in try BackgroundWorker() }
    defer { for worker in workers { worker.stop() } }
    let found = Monitor<[[UInt8]]>([])
    for worker in workers {
      worker.submit {
        let code = try cache.code(variant, compiler)
        found.withLock { $0.append(code) }
      }
    }
    for worker in workers { try worker.drain() }
    let codes = found.withLock { $0 }
    #expect(try codes == [[UInt8]](repeating: compiler.compile(variant), count: 3))
    #expect(try Files.names(inFolder: "\(folder.path)/kernels").count == 1)
  }

  /// A compilation that fails leaves nothing; the lock of one that was killed goes with the next,
  /// which makes the entry.
  @Test func whatDoesNotCompileLeavesNothingInTheCache() throws {
    guard let compiler = compiler("sm_80") else { return }
    let folder = TemporaryFolder()
    let cache = KernelCache(folder: "\(folder.path)/kernels")
    let variant = KernelVariant(.indicator, .f32)
    _ = try cache.code(variant, compiler)
    let names = try Files.names(inFolder: "\(folder.path)/kernels")
    let broken = KernelVariant(.indicator, .f32, defines: ["indicator=1+"])
    #expect(throws: DeviceError.self) { _ = try cache.code(broken, compiler) }
    #expect(try Files.names(inFolder: "\(folder.path)/kernels") == names)
    let name = try #require(names.first)
    try Files.remove("\(folder.path)/kernels/\(name)")
    folder.write("kernels/\(name).lock", [])
    _ = try cache.code(variant, compiler)
    #expect(try Files.names(inFolder: "\(folder.path)/kernels") == names)
  }

  @Test func relativeFoldersOfTheCacheAreIgnored() {
    func folder(_ variables: [String: String]) -> String? {
      KernelCache.userFolder { variables[$0] }
    }
    #expect(folder(["XDG_CACHE_HOME": "/c", "HOME": "/h"]) == "/c/herd/kernels")
    #expect(folder(["XDG_CACHE_HOME": "c", "HOME": "/h"]) == "/h/.cache/herd/kernels")
    #expect(folder(["XDG_CACHE_HOME": "", "HOME": "/h"]) == "/h/.cache/herd/kernels")
    #expect(folder(["HOME": "h"]) == nil)
  }

  @Test(arguments: ["sm_80", "sm_90a"])
  func everyKernelCompiles(architecture: String) throws {
    guard let compiler = compiler(architecture) else { return }
    for file in KernelFile.allCases {
      for variant in file.variants {
        #expect(try !compiler.compile(variant).isEmpty, "\(variant)")
      }
    }
  }
}
