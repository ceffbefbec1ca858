/// Why a safetensors file is not valid, or cannot be read as asked.
public struct SafetensorsError: Error, Equatable, Sendable {
  /// What is wrong: one case per error class of the reference implementation, and a few more.
  public enum Reason: Equatable, Sendable {
    /// The file has fewer than the eight bytes of the header length.
    case headerTooSmall(fileBytes: Int)
    /// The header length is beyond the format's limit.
    case headerTooLarge(headerBytes: UInt64)
    /// The header length reaches beyond the file.
    case invalidHeaderLength(headerBytes: Int, fileBytes: Int)
    /// The header is not UTF-8.
    case invalidHeader
    /// The header does not begin with `{`.
    case invalidHeaderStart
    /// The header is not the JSON the format wants; `detail` says what to correct.
    case invalidHeaderDeserialization(detail: String)
    /// The file has no such tensor.
    case tensorNotFound(name: String, nearest: String?)
    /// Shape and element type need another number of bytes than the offsets span.
    case tensorInvalidInfo(tensor: String, needed: Int, spanned: Int)
    /// The tensor does not begin where the one before it ends, or ends before it begins.
    case invalidOffset(tensor: String, begin: Int, end: Int, expectedBegin: Int)
    /// The size of a tensor overflows.
    case validationOverflow(tensor: String)
    /// The tensors do not cover the data section exactly.
    case metadataIncompleteBuffer(describedBytes: Int, dataBytes: Int)
    /// A slice or tensor of elements below eight bits does not fill whole bytes.
    case misalignedSlice(tensor: String)
    /// A buffer has not the size of the bytes asked for.
    case invalidTensorView(tensor: String, needed: Int, bufferBytes: Int)
    /// Bytes beyond the tensor were asked for.
    case bytesOutOfRange(tensor: String, bytes: Range<Int>, count: Int)
    /// Rows beyond the tensor's first dimension were asked for.
    case rowsOutOfRange(tensor: String, rows: Range<Int>, count: Int)
    /// The file is a Git LFS pointer in place of the weights.
    case pointerFile
    /// The file could not be read.
    case file(FileError)
  }

  /// The path of the file; empty when a description outside any file is at fault.
  public let file: String
  /// What is wrong.
  public let reason: Reason

  init(_ file: String, _ reason: Reason) {
    self.file = file
    self.reason = reason
  }
}

extension SafetensorsError: CustomStringConvertible {
  public var description: String {
    if case .file(let error) = reason { return error.description }
    return file.isEmpty ? "\(reason)" : "\(file): \(reason)"
  }
}

extension SafetensorsError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .headerTooSmall(let bytes):
      "\(bytes) bytes hold no safetensors header; fetch the file again"
    case .headerTooLarge(let bytes):
      "a header of \(bytes) bytes exceeds the format's \(SafetensorsHeader.maximumBytes); "
        + "this is no safetensors file, check its origin"
    case .invalidHeaderLength(let header, let file):
      "a header of \(header) bytes does not fit a file of \(file); it was cut short, fetch it again"
    case .invalidHeader: "the header is not UTF-8; save the file again with a conforming writer"
    case .invalidHeaderStart:
      "the header does not begin with `{`; this is no safetensors file, check its origin"
    case .invalidHeaderDeserialization(let detail): "malformed header: \(detail)"
    case .tensorNotFound(let name, let nearest):
      "no tensor \(quoted(name)); "
        + (nearest.map { "did you mean \(quoted($0))?" } ?? "list the tensors to see the names")
    case .tensorInvalidInfo(let tensor, let needed, let spanned):
      "tensor \(quoted(tensor)) needs \(needed) bytes but its offsets span \(spanned); "
        + "correct shape, dtype or data_offsets"
    case .invalidOffset(let tensor, let begin, let end, let expected):
      "tensor \(quoted(tensor)) spans bytes \(begin) to \(end) but must begin at \(expected) "
        + "and not end before it begins; save the file without gaps and overlaps"
    case .validationOverflow(let tensor):
      "the size of tensor \(quoted(tensor)) overflows; correct its shape"
    case .metadataIncompleteBuffer(let described, let data):
      "the header describes \(described) bytes of data but the file has \(data); "
        + "it was cut short or appended to, fetch it again"
    case .misalignedSlice(let tensor):
      "tensor \(quoted(tensor)) has elements below eight bits that do not fill whole bytes here; "
        + "choose sizes whose bits are a multiple of eight"
    case .invalidTensorView(let tensor, let needed, let buffer):
      "tensor \(quoted(tensor)) needs a buffer of \(needed) bytes, not \(buffer); resize the buffer"
    case .bytesOutOfRange(let tensor, let bytes, let count):
      "tensor \(quoted(tensor)) has \(count) bytes, not \(bytes); ask for bytes within it"
    case .rowsOutOfRange(let tensor, let rows, let count):
      "tensor \(quoted(tensor)) has \(count) rows, not \(rows); ask for rows within it"
    case .pointerFile:
      "this is a Git LFS pointer, not the weights; run `git lfs pull` or download the file itself"
    case .file(let error): "\(error)"
    }
  }
}
