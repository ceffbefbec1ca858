import ArgumentParser
import Numerics

/// What `--device` takes: a device's name, with a number for one of several GPUs.
enum DeviceOption: ExpressibleByArgument, Equatable {
  case automatic
  case cpu
  case cuda(Int)

  init?(argument: String) {
    switch argument {
    case "auto": self = .automatic
    case "cpu": self = .cpu
    case "cuda": self = .cuda(0)
    default:
      guard argument.hasPrefix("cuda:"), let number = Int(argument.dropFirst(5)), number >= 0 else {
        return nil
      }
      self = .cuda(number)
    }
  }

  var defaultValueDescription: String {
    switch self {
    case .automatic: "auto"
    case .cpu: "cpu"
    case .cuda(let number): "cuda:\(number)"
    }
  }
}

/// What `--precision` takes.
enum PrecisionOption: String, ExpressibleByArgument, CaseIterable {
  case f32, bf16

  var type: DType { self == .bf16 ? .bf16 : .f32 }
}

extension CommonOptions {
  /// The device that was asked for. An automatic choice on a machine with a GPU is said in one line.
  func chosenDevice(_ console: Console) -> Device {
    switch device {
    case .cpu: return .cpu(threads: threads)
    case .cuda(let number): return .cuda(ordinal: number, activations: precision.type)
    case .automatic:
      let choice = Device.automatic(threads: threads, activations: precision.type)
      if let note = choice.note { console.events.note(note) }
      return choice.device
    }
  }
}
