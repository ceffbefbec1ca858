import Glibc
import Numerics
import Testing

/// Every CUDA kernel compiles, also on machines without a GPU. Needs NVRTC (Scripts/test.sh fetches
/// it); without it these tests say so and pass.
@Suite struct KernelCompilationTests {
  @Test(arguments: ["sm_80", "sm_90a"])
  func everyKernelCompiles(architecture: String) throws {
    guard let compiler = try? KernelCompiler(CUDALibraries(), architecture: architecture) else {
      print("NVRTC was not found: CUDA kernels are not compiled")
      #expect(getenv("HERD_REQUIRE_KERNELS") == nil, "HERD_REQUIRE_KERNELS is set")
      return
    }
    for file in KernelFile.allCases {
      for variant in file.variants {
        #expect(try !compiler.compile(variant).isEmpty, "\(variant)")
      }
    }
  }
}
