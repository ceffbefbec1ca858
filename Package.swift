// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built in Swift 6 mode with warnings as errors.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
]

/// Kernels are compiled at -O3 also in debug builds: the tests run real sizes.
let kernelSettings: [CSetting] = [.unsafeFlags(["-O3", "-fno-math-errno", "-Wall", "-Werror"])]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: strict)
}

let package = Package(
  name: "herd",
  products: [
    .executable(name: "herd", targets: ["herd"]),
    .library(name: "Formats", targets: ["Formats"]),
    .library(name: "HerdData", targets: ["Data"]),
    .library(name: "Numerics", targets: ["Numerics"]),
    .library(name: "Models", targets: ["Models"]),
    .library(name: "ExpertConstruction", targets: ["ExpertConstruction"]),
    .library(name: "Training", targets: ["Training"]),
    .library(name: "Evaluation", targets: ["Evaluation"]),
    .library(name: "Workflows", targets: ["Workflows"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "CKernels", cSettings: kernelSettings),
    .target(name: "CDevice", exclude: ["kernels"]),
    library("Formats", []),
    library("Data", ["Formats", "CZstd"]),
    library("Numerics", ["CKernels", "CDevice", "COpenBLAS"]),
    library("Models", ["Numerics", "Formats"]),
    library(
      "ExpertConstruction",
      ["Models", "Numerics", "Formats", "Data", .product(name: "Crypto", package: "swift-crypto")]),
    library("Training", ["Models", "Numerics", "Formats", "Data"]),
    library("Evaluation", ["Models", "Numerics", "Formats", "Data"]),
    library("Reports", []),
    library(
      "Workflows",
      [
        "ExpertConstruction", "Training", "Evaluation", "Reports", "Models", "Numerics", "Formats",
        "Data", .product(name: "Yams", package: "Yams"),
      ]),
    .executableTarget(
      name: "herd",
      dependencies: [
        "Workflows", "Reports", "Formats", "Numerics",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .target(
      name: "TestSupport", dependencies: ["Numerics", "Formats"], path: "Tests/TestSupport",
      swiftSettings: strict),
    .target(
      name: "Conformance", dependencies: ["Numerics", "TestSupport"], path: "Tests/Conformance",
      swiftSettings: strict),
    .executableTarget(
      name: "herd-conformance", dependencies: ["Conformance", "Numerics"],
      path: "Tests/ConformanceProgram", swiftSettings: strict),
    tests("FormatsTests", ["Formats"]),
    tests("DataTests", ["Data", "Formats", "CZstd"]),
    tests("NumericsTests", ["Numerics", "Formats", "CKernels", "CDevice", "Conformance"]),
    tests("ModelsTests", ["Models", "Numerics", "Formats"]),
    tests("ExpertConstructionTests", ["ExpertConstruction", "Models", "Numerics", "Formats"]),
    tests("TrainingTests", ["Training", "Models", "Numerics", "Formats", "Data"]),
    tests("EvaluationTests", ["Evaluation", "Models", "Numerics", "Formats", "Data"]),
    tests("ReportsTests", ["Reports", "Formats"]),
    tests(
      "WorkflowsTests",
      [
        "Workflows", "ExpertConstruction", "Training", "Evaluation", "Models", "Numerics",
        "Formats", "Data",
      ]),
    tests("CommandTests", ["herd", "Formats", "Data"]),
  ]
)

// FUZZ=1 adds a libFuzzer program over the parsers, built with the address sanitizer; see
// Scripts/fuzz.sh.
if Context.environment["FUZZ"] != nil {
  let sanitizers = ["-sanitize=fuzzer,address"]
  for target in package.targets where target.name == "Formats" {
    target.swiftSettings = strict + [.unsafeFlags(sanitizers)]
  }
  package.targets += [
    .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
    .executableTarget(
      name: "FuzzFormats", dependencies: ["CFuzzer", "Formats"], path: "Tests/Fuzz/FuzzFormats",
      swiftSettings: strict + [.unsafeFlags(sanitizers)],
      // The gold linker cannot link the fuzzing runtime.
      linkerSettings: [.unsafeFlags(sanitizers + ["-use-ld=lld"])]),
  ]
}
