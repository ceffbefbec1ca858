import Numerics
import Testing

/// What each of several jobs gets of a device.
@Suite struct DevicePartTests {
  @Test func threadsAreDividedAndOneIsLeftForEach() {
    #expect(
      Device.cpu(threads: 9, instructionSet: .avx2).part(of: 2)
        == .cpu(threads: 4, instructionSet: .avx2))
    #expect(Device.cpu(threads: 2).part(of: 3) == .cpu(threads: 1))
    #expect(Device.cpu(threads: 1).part(of: 64) == .cpu(threads: 1))
    #expect(Device.cpu().part(of: 2) == .cpu(threads: max(1, Device.availableCores / 2)))
  }

  @Test func jobsOnAGPUDivideTheThreadsBesideIt() {
    let device = Device.cuda(ordinal: 1, activations: .bf16, hostThreads: 8)
    let part = Device.cuda(ordinal: 1, activations: .bf16, hostThreads: 2)
    #expect(device.part(of: 4) == part)
    #expect(device.part(of: 9) == .cuda(ordinal: 1, activations: .bf16, hostThreads: 1))
    #expect(part.inFullPrecision == .cuda(ordinal: 1, hostThreads: 2))
    #expect(
      Device.cuda().part(of: 2) == .cuda(hostThreads: max(1, Device.availableCores / 2)))
  }

  @Test func oneJobHasAllOfIt() {
    for device in [Device.cpu(), .cpu(threads: 3), .cuda(), .cuda(hostThreads: 3)] {
      #expect(device.part(of: 1) == device)
    }
  }
}
