import Glibc

/// Compiled kernels on disk, under `$XDG_CACHE_HOME/herd/kernels` or `~/.cache/herd/kernels`.
///
/// The name of an entry is a hash of everything the machine code follows from: sources, options,
/// architecture, version and file of the compiler. An entry repeats that and a checksum, so that one
/// which is cut short, damaged or of another key counts as missing. Writers use a file of their own and
/// rename it: several processes may fill the cache at once. Who needs an entry that is being made waits
/// for the lock beside it, which goes with its maker; what a killed one leaves the next removes.
package struct KernelCache: Sendable {
  private let folder: String?

  /// A cache in `folder`; the user's own unless given. Without a home there is none.
  package init(folder: String? = nil) {
    self.folder = folder ?? Self.userFolder(environmentVariable)
  }

  /// The user's own folder; a path that is not absolute counts as none, as the XDG specification says.
  package static func userFolder(_ variable: (String) -> String?) -> String? {
    func path(_ name: String) -> String? {
      variable(name).flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
    let root = path("XDG_CACHE_HOME") ?? path("HOME").map { "\($0)/.cache" }
    return root.map { "\($0)/herd/kernels" }
  }

  /// The machine code of a variant: from the disk, else compiled and kept.
  package func code(
    _ variant: KernelVariant, _ compiler: KernelCompiler
  ) throws(DeviceError) -> [UInt8] {
    let key = Self.key(variant, compiler)
    guard let folder else { return try compiler.compile(variant) }
    let path = "\(folder)/\(variant.file.rawValue)-\(Self.hash(Array(key.utf8))).cubin"
    if let code = Self.read(path, key) { return code }
    Self.make(folder)
    let lock = open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    defer {
      if lock >= 0 {
        // Who comes between these two may compile as well, and writes the same entry.
        unlink("\(path).lock")
        close(lock)
      }
    }
    if lock >= 0, flock(lock, LOCK_EX) == 0, let code = Self.read(path, key) { return code }
    let code = try compiler.compile(variant)
    // A cache that cannot be written costs time at the next start, nothing else.
    Self.write(code, key, to: path)
    return code
  }

  private static func make(_ folder: String) {
    var parent = ""
    for part in folder.split(separator: "/") {
      parent += "/\(part)"
      mkdir(parent, 0o755)
    }
  }

  private static func key(_ variant: KernelVariant, _ compiler: KernelCompiler) -> String {
    let sources = Array((KernelFile.headers.map(\.text).joined() + variant.file.source).utf8)
    let options = variant.options(architecture: compiler.architecture).joined(separator: " ")
    return "herd kernel 1; \(variant.file.rawValue) \(sources.count) \(hash(sources)); "
      + "nvrtc \(compiler.version) \(compiler.fingerprint); \(options)"
  }

  /// `key`, a newline, the code's checksum, a newline, the code.
  private static func read(_ path: String, _ key: String) -> [UInt8]? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var status = stat()
    guard fstat(fileno(file), &status) == 0, status.st_size > 0, status.st_size < 1 << 28 else {
      return nil
    }
    let size = Int(status.st_size)
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = fread(buffer.baseAddress, 1, size, file)
    }
    let head = Array("\(key)\n".utf8)
    guard bytes.count > head.count + 17, bytes.starts(with: head) else { return nil }
    let code = Array(bytes[(head.count + 17)...])
    let sum = Array("\(hash(code))\n".utf8)
    return Array(bytes[head.count..<(head.count + 17)]) == sum ? code : nil
  }

  private static func write(_ code: [UInt8], _ key: String, to path: String) {
    var name = Array("\(path).XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    guard descriptor >= 0 else { return }
    let temporary = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    guard let file = fdopen(descriptor, "w") else {
      close(descriptor)
      unlink(temporary)
      return
    }
    let bytes = Array("\(key)\n\(hash(code))\n".utf8) + code
    let written = fwrite(bytes, 1, bytes.count, file) == bytes.count
    let closed = fclose(file) == 0
    if !(written && closed && rename(temporary, path) == 0) { unlink(temporary) }
  }

  /// 16 hexadecimal digits (FNV-1a).
  private static func hash(_ bytes: [UInt8]) -> String {
    let value = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
