import Models
import Testing

@Suite struct ExpertLoadTests {
  @Test func evenLoad() {
    for counts in [[5, 5, 5, 5], [3, 3, 3]] {
      let even = ExpertLoad(layer: 0, counts: counts)
      #expect(abs(even.normalizedEntropy - 1) < 1e-12)
      #expect(even.maximumShare == 1 / Double(counts.count) && even.deadExperts == 0)
    }
  }

  @Test func unevenLoad() {
    let half = ExpertLoad(layer: 0, counts: [5, 0, 5, 0])
    #expect(abs(half.normalizedEntropy - 0.5) < 1e-12)
    #expect(half.maximumShare == 0.5 && half.deadExperts == 2)
    let one = ExpertLoad(layer: 0, counts: [0, 8, 0, 0])
    #expect(one.normalizedEntropy == 0 && one.maximumShare == 1 && one.deadExperts == 3)
  }

  @Test func noLoadAndOneExpert() {
    #expect(ExpertLoad(layer: 0, counts: [0, 0]).shares == [0, 0])
    #expect(ExpertLoad(layer: 0, counts: [7]).normalizedEntropy == 1)
  }
}
