import CKernels
import Glibc

/// Memory of the host, aligned to cache lines.
struct HostMemory: BlockSource {
  func newBlock(_ size: Int) -> UInt? {
    aligned_alloc(64, (size + 63) / 64 * 64).map { UInt(bitPattern: $0) }
  }

  func poison(_ block: UInt, _ size: Int) {
    if let address = UnsafeMutableRawPointer(bitPattern: block) { memset(address, 0xff, size) }
  }

  func free(_ block: UInt) { Glibc.free(UnsafeMutableRawPointer(bitPattern: block)) }

  func didTrim() { hk_release_free_pages() }

  func outOfMemory(_ size: Int, for purpose: String, _ statistics: MemoryStatistics) -> Never {
    stop(
      "out of memory: \(purpose) needs \(size >> 20) MiB with \(statistics.inUse >> 20) MiB in use; "
        + "use a smaller micro_batch, sequence_length or window, checkpointing: true, or optimizer: "
        + "adamw_8bit; cells side by side need less with fewer --jobs")
  }
}
