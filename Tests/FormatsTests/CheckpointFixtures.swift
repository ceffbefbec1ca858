import Formats
import TestSupport

/// A folder with two shards and their index.
///
/// - Parameter index: Changes the text of the index before it is written.
func shardedFolder(index edit: (String) -> String = { $0 }) -> TemporaryFolder {
  let folder = TemporaryFolder()
  folder.write("model-00001-of-00002.safetensors", oneTensor("a", from: 0))
  folder.write("model-00002-of-00002.safetensors", oneTensor("b", from: 8))
  folder.write("model.safetensors.index.json", edit(shardedIndex))
  return folder
}

let shardedIndex = """
  {
    "metadata": {
      "total_size": 16
    },
    "weight_map": {
      "a": "model-00001-of-00002.safetensors",
      "b": "model-00002-of-00002.safetensors"
    }
  }

  """

/// Safetensors bytes of one tensor of eight counting bytes.
func oneTensor(_ name: String, from first: UInt8) -> [UInt8] {
  safetensors("{" + entry(name, "U8", "[8]", "[0,8]") + "}") + (first..<first + 8)
}
