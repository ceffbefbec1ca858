import Testing

@testable import ExpertConstruction

@Suite struct SplitGeometryTests {
  @Test func sizesFollowFromTheWidth() throws {
    let geometry = try SplitGeometry(width: 1792, experts: 7, topK: 1, shared: 1)
    #expect(geometry.expertWidth == 224)
    #expect(geometry.sharedWidth == 224)
    #expect(geometry.activeShare == 0.25)
  }

  @Test func unitsThatDoNotDivideAreRefusedWithTheNearestThatDo() {
    let error = #expect(throws: ConstructionError.self) {
      try SplitGeometry(width: 1792, experts: 8, topK: 1, shared: 1)
    }
    #expect(error?.kind == .refused)
    #expect(
      error?.description
        == "8 routed + 1 shared = 9 units do not divide the MLP width 1792; "
        + "nearest with 1 shared: --experts 7 or --experts 13")
  }

  @Test(arguments: [(0, 1, 0), (4, 0, 0), (4, 5, 0), (4, 1, -1)])
  func impossibleCountsAreRefused(experts: Int, topK: Int, shared: Int) {
    #expect(throws: ConstructionError.self) {
      try SplitGeometry(width: 64, experts: experts, topK: topK, shared: shared)
    }
  }

  @Test func aSplitMustUseEachNeuronOnce() throws {
    let geometry = try SplitGeometry(width: 6, experts: 2, topK: 1, shared: 1)
    func error(_ shared: [Int32], _ experts: [[Int32]]) -> String? {
      do {
        _ = try NeuronSplit(shared: shared, experts: experts, geometry: geometry)
        return nil
      } catch { return error.description }
    }
    #expect(error([0, 1], [[2, 3], [4, 5]]) == nil)
    #expect(error([0, 1], [[2, 3], [4, 4]])?.contains("neuron 4 is used twice") == true)
    #expect(error([0, 1], [[2, 3], [4, 6]])?.contains("neuron 6 does not exist") == true)
    #expect(error([0, 1], [[2, 3], [4]])?.contains("expert 1 has 1 neurons") == true)
    #expect(error([0], [[1, 2], [3, 4]])?.contains("shares 1 neurons") == true)
    #expect(error([0, 1], [[2, 3]])?.contains("has 1 experts") == true)
  }
}
