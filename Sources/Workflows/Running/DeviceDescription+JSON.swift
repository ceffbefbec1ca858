import Formats
import Numerics

extension DeviceDescription {
  /// The device as run folders record it.
  var json: JSON {
    [
      "device": JSON(kind), "threads": JSON(threads), "architecture": JSON(architecture),
      "blas": JSON(blas),
    ]
  }
}

extension JSON {
  /// A device that a run folder recorded, in words.
  var deviceWords: String {
    "\(self["device"]?.string ?? "") \(self["architecture"]?.string ?? ""), "
      + "\(self["threads"]?.int ?? 0) threads"
  }
}
