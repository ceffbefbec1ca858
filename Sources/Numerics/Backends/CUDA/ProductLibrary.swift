import CDevice
import Synchronization

/// Dense products through cuBLASLt. The algorithm for a shape is asked for once and kept.
final class ProductLibrary: @unchecked Sendable {
  /// The library's version, such as `13.0.1`.
  let version: String
  private let table: cd_blas
  private let handle: cd_handle
  private let device: CUDADevice
  private let workspace: UInt64
  private let plans = Mutex<[Product: Plan]>([:])

  /// What Hopper's algorithms ask for at most.
  private static let workspaceBytes = 32 << 20

  init(_ libraries: CUDALibraries, device: CUDADevice) throws(DeviceError) {
    table = try libraries.blas.get().pointee
    let number = Int(table.version())
    version = Self.text(number)
    try CUDALibraries.check(
      driver: device.driverVersion, runs: "cuBLASLt \(version)", major: number / 10000)
    self.device = device
    device.activate()
    var handle: cd_handle?
    guard table.create(&handle) == 0, let handle else {
      throw DeviceError("cuBLASLt \(version) does not start on \(device.name)")
    }
    self.handle = handle
    var workspace: UInt64 = 0
    guard device.driver.memory_allocate(&workspace, Self.workspaceBytes) == 0 else {
      _ = table.destroy(handle)
      throw DeviceError("\(device.name) has no memory left; end what else runs on it")
    }
    self.workspace = workspace
  }

  /// A version as people write it.
  static func text(_ version: Int) -> String {
    "\(version / 10000).\(version / 100 % 100).\(version % 100)"
  }

  deinit {
    device.activate()
    for plan in plans.withLock({ Array($0.values) }) { plan.destroy(table) }
    _ = table.destroy(handle)
    _ = device.driver.memory_free(workspace)
  }

  /// A product `c = alpha · op(a) · op(b) + beta · c` of row-major matrices.
  struct Product: Hashable {
    var m: Int
    var n: Int
    var k: Int
    var transposeA: Bool
    var transposeB: Bool
    /// Of `a` and `b`.
    var inputs: DType
    /// Of `c`.
    var output: DType
    /// The alignment all three addresses share, in bytes.
    var alignment: UInt32
  }

  private struct Plan {
    var product: cd_handle
    var layouts: [cd_handle]
    var algorithm: cd_algorithm

    func destroy(_ table: cd_blas) {
      for layout in layouts { _ = table.layout_destroy(layout) }
      _ = table.product_destroy(product)
    }
  }

  /// Enqueues a product.
  func multiply(
    _ product: Product, alpha: Double, _ a: UInt, _ b: UInt, beta: Double, into c: UInt
  ) {
    device.activate()
    let plan = plans.withLock { plans in
      if let plan = plans[product] { return plan }
      let plan = makePlan(product)
      plans[product] = plan
      return plan
    }
    // The library thinks in columns: cᵀ = op(b)ᵀ · op(a)ᵀ, and a row-major matrix is its transpose.
    func run<Scale: BitwiseCopyable>(_ alpha: Scale, _ beta: Scale) -> Int32 {
      var (alpha, beta, algorithm) = (alpha, beta, plan.algorithm)
      return table.multiply(
        handle, plan.product, &alpha, Self.pointer(b), plan.layouts[0], Self.pointer(a),
        plan.layouts[1], &beta, Self.pointer(c), plan.layouts[2], Self.pointer(c), plan.layouts[2],
        &algorithm, UnsafeMutableRawPointer(bitPattern: UInt(workspace)), Self.workspaceBytes,
        device.stream)
    }
    let status =
      product.inputs == .f64 ? run(alpha, beta) : run(Float(alpha), Float(beta))
    guard status == 0 else {
      stop("\(device.name): cuBLASLt refuses the product \(product): status \(status)")
    }
  }

  private static func pointer(_ address: UInt) -> UnsafeMutableRawPointer {
    guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else {
      fatalError("a tensor without memory")
    }
    return pointer
  }

  private func makePlan(_ product: Product) -> Plan {
    func check(_ status: Int32, _ what: String) {
      if status != 0 { stop("cuBLASLt \(version): \(what) of \(product): status \(status)") }
    }
    func made(_ what: String, _ make: (inout cd_handle?) -> Int32) -> cd_handle {
      var handle: cd_handle?
      check(make(&handle), what)
      guard let handle else { stop("cuBLASLt \(version): no \(what)") }
      return handle
    }
    let (computeFloat, computeDouble): (Int32, Int32) = (68, 70)
    let isDouble = product.inputs == .f64
    let description = made("description") {
      table.product_create(
        &$0, isDouble ? computeDouble : computeFloat, isDouble ? Self.code(.f64) : Self.code(.f32))
    }
    for (attribute, transposed) in [(3, product.transposeB), (4, product.transposeA)] {
      var operation: Int32 = transposed ? 1 : 0
      check(table.product_set(description, Int32(attribute), &operation, 4), "transposition")
    }
    func layout(_ type: DType, rows: Int, columns: Int) -> cd_handle {
      made("layout") {
        table.layout_create(&$0, Self.code(type), UInt64(columns), UInt64(rows), Int64(columns))
      }
    }
    let layouts = [
      product.transposeB
        ? layout(product.inputs, rows: product.n, columns: product.k)
        : layout(product.inputs, rows: product.k, columns: product.n),
      product.transposeA
        ? layout(product.inputs, rows: product.k, columns: product.m)
        : layout(product.inputs, rows: product.m, columns: product.k),
      layout(product.output, rows: product.m, columns: product.n),
    ]
    let preference = made("preference") { table.preference_create(&$0) }
    defer { _ = table.preference_destroy(preference) }
    var bytes = Self.workspaceBytes
    check(table.preference_set(preference, 1, &bytes, 8), "workspace")
    for attribute in 5...8 {
      var alignment = product.alignment
      check(table.preference_set(preference, Int32(attribute), &alignment, 4), "alignment")
    }
    var (algorithm, found) = (cd_algorithm(), Int32(0))
    check(
      table.propose(
        handle, description, layouts[0], layouts[1], layouts[2], layouts[2], preference, 1,
        &algorithm, &found), "algorithm")
    guard found > 0 else { stop("cuBLASLt \(version) knows no algorithm for \(product)") }
    return Plan(product: description, layouts: layouts, algorithm: algorithm)
  }

  /// The library's number of an element type.
  private static func code(_ dtype: DType) -> Int32 {
    switch dtype {
    case .f32: 0
    case .f64: 1
    case .f16: 2
    case .i32: 10
    case .bf16: 14
    case .u8: 8
    }
  }
}
