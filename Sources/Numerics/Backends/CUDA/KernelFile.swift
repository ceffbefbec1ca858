import CDevice

/// The CUDA source files, one operation each; the raw value is the file's name.
package enum KernelFile: String, CaseIterable, Sendable {
  case elementwise

  /// The embedded source.
  package var source: String { Self.text("\(rawValue).cu") }

  /// What every source includes.
  package static var header: String { text("element.cuh") }

  private static func text(_ name: String) -> String {
    var index: Int32 = 0
    while let source = cd_embedded_source(index)?.pointee {
      if String(cString: source.name) == name { return String(cString: source.text) }
      index += 1
    }
    fatalError("\(name) is not among the embedded sources")
  }
}
