/// One compilation of a kernel file.
package struct KernelVariant: Hashable, Sendable {
  /// The file.
  package var file: KernelFile
  /// The type of activations, `f32` or `bf16`.
  package var element: DType
  /// Further definitions, such as `HEAD_DIM=64`.
  package var defines: [String]

  /// A variant of `file`.
  package init(_ file: KernelFile, _ element: DType, defines: [String] = []) {
    self.file = file
    self.element = element
    self.defines = defines
  }

  /// What the compiler is told for a GPU architecture such as `sm_90a`.
  func options(architecture: String) -> [String] {
    [
      "--gpu-architecture=\(architecture)", "--std=c++17", "-default-device",
      "-DELEMENT_\(element == .bf16 ? "BF16" : "F32")",
    ] + defines.map { "-D\($0)" }
  }
}
