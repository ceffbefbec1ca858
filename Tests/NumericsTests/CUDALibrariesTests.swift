import Numerics
import TestSupport
import Testing

/// What is said where libraries of CUDA are missing, broken or too new for the driver.
@Suite struct CUDALibrariesTests {
  @Test func aLibraryThatDoesNotLoadSaysWhy() {
    let folder = TemporaryFolder()
    for name in ["libnvrtc.so.13", "libcublasLt.so.12"] { folder.write(name, Array("broken".utf8)) }
    let libraries = CUDALibraries { $0 == "HERD_CUDA_LIBRARIES" ? "/nowhere:\(folder.path)" : nil }
    // Where the machine has CUDA the loader finds others.
    if case .failure(let error) = libraries.compiler {
      #expect(error.description.contains("does not load (\(folder.path)/libnvrtc.so.13: "))
    }
    if case .failure(let error) = libraries.blas {
      #expect(error.description.contains("does not load (\(folder.path)/libcublasLt.so.12: "))
    }
  }

  @Test func aLibraryThatIsNotThereIsNotFound() {
    if case .failure(let error) = CUDALibraries(variable: { _ in nil }).compiler {
      #expect(error.description.contains("was not found; install"))
    }
  }

  @Test func aDriverRunsItsOwnMajorVersionAndOlder() throws {
    for (driver, major) in [(12040, 12), (13000, 12), (13010, 13)] {
      try CUDALibraries.check(driver: driver, runs: "NVRTC \(major).1", major: major)
    }
    let error = #expect(throws: DeviceError.self) {
      try CUDALibraries.check(driver: 12040, runs: "NVRTC 13.0", major: 13)
    }
    #expect(
      error?.description
        == "NVRTC 13.0 needs a driver for CUDA 13 and this one is for CUDA 12.4: update it to R580 "
        + "or later, or install the Python packages nvidia-cuda-nvrtc-cu12 and nvidia-cublas-cu12")
  }

  @Test func anAutomaticChoiceWithoutADriverIsTheCPU() {
    let survey = GPUSurvey()
    let choice = Device.automatic(threads: 1)
    #expect((survey.obstacle == nil) == (choice.device != .cpu(threads: 1)))
    #expect((choice.note != nil) == survey.hasDriver)
  }

  @Test func onlyNarrowerCopiesOfParametersAreKept() throws {
    let context = try Context()
    let (wide, narrow) = (context.zeros([4, 2]), context.zeros([4, 2], .bf16))
    #expect(!wide.keepsConversion(to: .bf16))
    for tensor in [wide, narrow] { _ = Parameter("p", tensor) }
    #expect(wide.keepsConversion(to: .bf16))
    #expect(!wide.slice(1..<2).keepsConversion(to: .bf16))
    #expect(!narrow.keepsConversion(to: .f32))
    #expect(!narrow.keepsConversion(to: .f16))
  }
}
