// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who builds herd builds its benchmarks.
let package = Package(
  name: "herd-benchmarks",
  dependencies: [
    .package(name: "herd", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .target(
      name: "CPeers", cSettings: [.unsafeFlags(["-O3"])],
      linkerSettings: [.linkedLibrary("openblas"), .linkedLibrary("pthread")]),
    .executableTarget(
      name: "herd-bench",
      dependencies: [
        "CPeers",
        .product(name: "Formats", package: "herd"),
        .product(name: "Numerics", package: "herd"),
        .product(name: "Models", package: "herd"),
        .product(name: "Training", package: "herd"),
        .product(name: "ExpertConstruction", package: "herd"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6)]),
  ]
)
