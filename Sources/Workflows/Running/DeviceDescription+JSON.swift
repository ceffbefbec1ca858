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
