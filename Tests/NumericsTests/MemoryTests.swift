import Numerics
import Testing

@Suite struct MemoryTests {
  @Test func countsFollowTensors() throws {
    let context = try Context()
    let start = context.memory
    do {
      let tensor = context.zeros([1024])
      #expect(context.memory.inUse == start.inUse + tensor.byteCount)
      #expect(context.memory.peak >= start.inUse + 4096)
    }
    #expect(context.memory.inUse == start.inUse)
    #expect(context.memory.cached == start.cached + 4096)
    let cached = context.memory.cached
    let again = context.empty([1024])
    #expect(context.memory.cached == cached - again.byteCount)
    context.trim()
    #expect(context.memory.cached == 0)
    #expect(context.memory.inUse == start.inUse + again.byteCount)
  }
}
