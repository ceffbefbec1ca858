/// An error of this module that may have a file's error as its cause.
package protocol FileErrorCarrying: Error {
  /// The file's error behind this one; `nil` where the bytes themselves are at fault.
  var fileError: FileError? { get }
}

extension FileError: FileErrorCarrying {
  package var fileError: FileError? { self }
}

extension SafetensorsError: FileErrorCarrying {
  package var fileError: FileError? {
    if case .file(let error) = reason { error } else { nil }
  }
}

extension CheckpointError: FileErrorCarrying {
  package var fileError: FileError? {
    switch reason {
    case .file(let error): error
    case .shard(let error): error.fileError
    default: nil
    }
  }
}

extension ConfigurationError: FileErrorCarrying {
  package var fileError: FileError? {
    if case .file(let error) = reason { error } else { nil }
  }
}
