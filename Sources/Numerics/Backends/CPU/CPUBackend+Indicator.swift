extension CPUBackend {
  package func indicator(of columns_RK: Tensor, value: Double, into y_RC: Tensor) {
    fillZero(y_RC)
    let (chosen, columns) = (columns_RK.columns, y_RC.columns)
    let ids = columns_RK.integers
    func fill<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let target = y_RC.pointer.assumingMemoryBound(to: type)
      for index in 0..<columns_RK.count {
        let column = Int(ids[index])
        if (0..<columns).contains(column) {
          target[index / chosen * columns + column] = Element(value)
        }
      }
    }
    if y_RC.dtype == .f64 { fill(Double.self) } else { fill(Float.self) }
  }
}
