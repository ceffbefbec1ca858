import Glibc
import Numerics
import Testing

@Suite struct DecaySlopesTests {
  private func slopes(_ family: DecaySlopes, _ heads: Int, layer: Int = 0, layers: Int = 24)
    -> [Double]
  {
    family.values(heads: heads, layer: layer, layers: layers)
  }

  private func expect(_ found: ArraySlice<Double>, _ expected: [Double]) {
    #expect(found.count == expected.count)
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6) }
  }

  /// The values OpenNLPLab's and MiniMax's code prints, to six digits.
  @Test func headSlopesAreThePublishedOnes() {
    let eight = [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]
    expect(slopes(.alibi, 8)[...], eight)
    expect(slopes(.alibi, 12)[...], eight + [0.707107, 0.353553, 0.176777, 0.088388])
    let sixteen = slopes(.alibi, 16)
    expect(sixteen[..<5], [0.707107, 0.5, 0.353553, 0.25, 0.176777])
    expect(sixteen[15...], [0.003906])
    expect(slopes(.alibi, 20)[...], sixteen + [0.840896, 0.594604, 0.420448, 0.297302])
    let twentyFour = slopes(.alibi, 24)
    expect(twentyFour[..<17], sixteen + [0.840896])
    expect(twentyFour[22...], [0.105112, 0.074325])
    let thirtyTwo = slopes(.alibi, 32)
    expect(thirtyTwo[..<5], [0.840896, 0.707107, 0.594604, 0.5, 0.420448])
    expect(thirtyTwo[29...], [0.005524, 0.004645, 0.003906])
    let forty = slopes(.alibi, 40)
    expect(forty[..<33], thirtyTwo + [0.917004])
    expect(forty[39...], [0.272627])
    expect(slopes(.alibi, 64)[..<4], [0.917004, 0.840896, 0.771105, 0.707107])
    let decays = thirtyTwo.map { exp(-$0) }
    for (a, b) in zip([0, 1, 2, 3, 30, 31], [0.4313, 0.4931, 0.5518, 0.6065, 0.99536, 0.99610]) {
      #expect(abs(decays[a] - b) < 5e-5)
    }
  }

  @Test func layerFactorsDifferByFamily() {
    expect(slopes(.alibi, 8, layer: 23)[..<1], [0.5])
    expect(slopes(.tnl, 8)[..<1], [0.5 * 1.00001])
    expect(slopes(.tnl, 12, layer: 6, layers: 13)[8..<9], [0.707107 * 0.50001])
    // The last layer's slope is the head's times 1e-5, but for rounding.
    #expect(abs(slopes(.tnl, 8, layer: 23)[0] - 0.5e-5) < 1e-15)
    expect(slopes(.minimax, 8, layer: 1, layers: 3)[..<1], [0.5 * (1 - 1 / 2.00001 + 1e-5)])
    // No rule for counts that are no power of two.
    expect(slopes(.minimax, 12)[..<2], [0.629961 * 1.00001, 0.396850 * 1.00001])
    expect(slopes(.linear, 8, layer: 6)[..<3], [0, 0.75, 1.5])
    expect(slopes(.xmixers, 8)[..<2], [0.5 * 1.00001, 0.25 * 1.00001])
    expect(slopes(.xmixers, 8)[7...], [1.00001 / 256])
    expect(slopes(.retnet, 4)[...], [0.0317487, 0.0157484, 0.0078431, 0.0039139])
  }

  @Test(arguments: DecaySlopes.allCases)
  func everyFamilyIsFiniteAndNotNegative(family: DecaySlopes) {
    for heads in [1, 2, 3, 7, 64] {
      for (layer, layers) in [(0, 1), (0, 2), (1, 2), (87, 88)] {
        let values = family.values(heads: heads, layer: layer, layers: layers)
        #expect(values.count == heads)
        #expect(values.allSatisfy { $0.isFinite && $0 >= 0 })
      }
    }
  }
}
