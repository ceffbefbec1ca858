extension CPUBackend {
  package func lengthProductForward(_ a: Tensor, _ b: Tensor, into y: Tensor) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let (first, second, product) = (
        a.elements(type), b.elements(type), y.elements(type)
      )
      let width = a.columns / y.columns
      for group in 0..<y.count {
        product[group] =
          Self.length(first + group * width, width) * Self.length(second + group * width, width)
      }
    }
    if a.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }

  package func lengthProductBackward(
    _ dy: Tensor, _ a: Tensor, _ b: Tensor, into da: Tensor, _ db: Tensor
  ) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let (first, second, upstream) = (a.elements(type), b.elements(type), dy.elements(type))
      let (dFirst, dSecond) = (da.elements(type), db.elements(type))
      let width = a.columns / dy.columns
      for group in 0..<dy.count {
        let start = group * width
        let lengths = (
          Self.length(first + start, width), Self.length(second + start, width)
        )
        let slopes = (
          lengths.0 > 0 ? upstream[group] * lengths.1 / lengths.0 : 0,
          lengths.1 > 0 ? upstream[group] * lengths.0 / lengths.1 : 0
        )
        for channel in start..<start + width {
          dFirst[channel] = slopes.0 * first[channel]
          dSecond[channel] = slopes.1 * second[channel]
        }
      }
    }
    if a.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }

  private static func length<Element: BinaryFloatingPoint>(
    _ values: UnsafeMutablePointer<Element>, _ count: Int
  ) -> Element {
    var sum: Element = 0
    for index in 0..<count { sum += values[index] * values[index] }
    return sum.squareRoot()
  }
}

extension Tensor {
  fileprivate func elements<Element>(_ type: Element.Type) -> UnsafeMutablePointer<Element> {
    pointer.assumingMemoryBound(to: type)
  }
}
