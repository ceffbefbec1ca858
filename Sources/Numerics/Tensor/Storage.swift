/// A block of device memory; given back to its allocator when the last tensor over it goes.
///
/// `@unchecked Sendable`: the block is only touched by kernels, and those are enqueued from one
/// thread at a time.
public final class Storage: @unchecked Sendable {
  /// The device address. On the CPU it is a pointer's bit pattern.
  package let address: UInt
  /// The usable size in bytes.
  package let byteCount: Int
  private let owner: any StorageAllocator
  /// Whether the block holds a parameter: read many times before it is written again.
  package var isParameter = false
  /// The block's values in another element type, kept by a backend that multiplies in that type;
  /// dropped by whoever writes into the block.
  package var conversion: Tensor?

  package init(address: UInt, byteCount: Int, owner: any StorageAllocator) {
    self.address = address
    self.byteCount = byteCount
    self.owner = owner
  }

  deinit { owner.release(address: address, byteCount: byteCount) }
}

/// Hands out and takes back device memory.
package protocol StorageAllocator: AnyObject, Sendable {
  /// A block of at least `byteCount` bytes, contents undefined; `purpose` is told when it cannot be
  /// had.
  func allocate(byteCount: Int, for purpose: @autoclosure () -> String) -> Storage
  /// Called once, by a block's deinitialiser.
  func release(address: UInt, byteCount: Int)
}
