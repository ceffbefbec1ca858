import Formats
import Foundation
import Testing

/// The commands end to end, on a checkpoint written here.
@Suite struct CommandTests {
  private let checkpoint: ChatCheckpoint

  init() throws { checkpoint = try ChatCheckpoint() }

  private func json(_ run: HerdRun) throws -> JSON {
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))
  }

  @Test func doctor() throws {
    let report = try json(HerdRun("doctor", "--json", "--threads", "1"))
    #expect(report["device"]?["threads"]?.int == 1)
    #expect(report["device"]?["blas"]?.string?.contains("OpenBLAS") == true)
    #expect(try HerdRun("doctor").output.contains("OpenBLAS"))
  }

  /// Both lists name everything `convert` takes, with every field filled.
  @Test(arguments: ["strategies", "routers"]) func listings(command: String) throws {
    let list = try json(HerdRun(command, "--json"))
    let help = try HerdRun("convert", "--help").output
    for part in ["mlp", "attention"] {
      let methods = try #require(list[part]?.array)
      #expect(methods.count > 1)
      for method in methods {
        let name = try #require(method["name"]?.string)
        #expect(help.contains(name), "\(name)")
        for field in ["summary", "source", "data", "cost"] {
          #expect(method[field]?.string?.isEmpty == false, "\(name) \(field)")
        }
      }
    }
    let text = try HerdRun(command).output
    #expect(text.contains("what it does"))
  }

  @Test func inspect() throws {
    let sharded = try ChatCheckpoint(shardLimit: 8000)
    let found = try json(HerdRun("inspect", sharded.path, "--json", "--tensors"))
    let count = ChatCheckpoint.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    #expect(found["parameters"]?["total"]?.int == count)
    #expect(found["parameters"]?["active"]?.int == count)
    #expect(found["tensors"]?.int == ChatCheckpoint.tensors.count)
    #expect(found["tensor_list"]?.array?.count == ChatCheckpoint.tensors.count)
    #expect(found["bytes"]?.int == 2 * count)
    #expect(found["dtypes"]?["BF16"]?.int == ChatCheckpoint.tensors.count)
    #expect((found["shards"]?.array?.count ?? 0) > 1)
    #expect(found["tokenizer"]?["chat_format"]?.string == "llama3")
    #expect(found["architecture"]?["layers"]?.int == 2)
    let text = try HerdRun("inspect", checkpoint.path, "--tensors")
    #expect(text.output.contains("model.layers.1.mlp.down_proj.weight"))
    #expect(text.output.contains("BF16"))
    #expect(text.error.isEmpty)
  }

  @Test func tokenizeAndBack() throws {
    let text = "Hello, world\ncarriage\rreturn\r\n\n  h\u{E9}\u{2028}x <|eot_id|>\nlast"
    let ids = try HerdRun("tokenize", checkpoint.path, input: text)
    #expect(ids.status == 0)
    // Only LF ends a line, and an empty line has no ids.
    let lines = ids.output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count == 6)
    #expect(lines[2].isEmpty)
    #expect(lines[0].split(separator: " ").count == 12)
    let back = try HerdRun("tokenize", checkpoint.path, "--decode", input: ids.output)
    #expect(Array(back.output.utf8) == Array((text + "\n").utf8))

    let file = checkpoint.folder.write("lines.txt", "ab\nc\n")
    let object = try json(HerdRun("tokenize", checkpoint.path, "--file", file, "--json"))
    #expect(object["ids"]?.array?.map { $0.array?.count } == [2, 1])
    let special = try json(
      HerdRun("tokenize", checkpoint.path, "--file", file, "--json", "--special"))
    #expect(special["ids"]?.array?.map { $0.array?.count } == [3, 2])
  }

  @Test func evaluate() throws {
    let (toy, other) = (checkpoint.data("toy.val.jsonl"), checkpoint.data("other.jsonl"))
    let arguments = [
      "evaluate", checkpoint.path, "--data", toy, other, "--window", "16", "--windows", "4",
    ]
    let alone = try HerdRun(list: arguments + ["--json"])
    let result = try json(alone)
    let score = try #require(result["domains"]?["toy"])
    #expect(result["domains"]?.object?.keys == ["toy", "other"])
    #expect(score["windows"]?.int == 4)
    #expect((score["tokens"]?.int ?? 0) > 0)
    #expect(score["kl"] == nil)
    // Both files say the same, so the mean is the loss of either.
    #expect(result["mean"]?.double == score["loss"]?.double)
    #expect(alone.error.contains("toy"))

    let compared = try json(
      HerdRun(list: arguments + ["--against", checkpoint.path, "--json", "--quiet"]))
    #expect(compared["domains"]?["toy"]?["loss"]?.double == score["loss"]?.double)
    #expect(abs(compared["mean_kl"]?.double ?? 1) < 1e-6)
    #expect(compared["mean_agreement"]?.double == 1)

    let text = try HerdRun(list: arguments + ["--quiet", "--exact-match", "2"])
    #expect(text.output.contains("toy"))
    #expect(text.output.contains("exact match"))
    #expect(text.error.isEmpty)
  }

  @Test func evaluateWikiText() throws {
    let file = checkpoint.folder.write(
      "wiki.txt", String(repeating: " = Title = \n \n Some text , here . \n", count: 20))
    let result = try json(HerdRun("evaluate", checkpoint.path, "--wikitext", file, "--json"))
    #expect(result["wikitext"]?["word"]?["documents"]?.int == 20)
    #expect((result["wikitext"]?["token"]?["perplexity"]?.double ?? 0) > 1)
    #expect(result["wikitext"]?["token"]?["definition"]?.string?.contains("GPTQ") == true)
  }

  @Test func generate() throws {
    let arguments = ["generate", checkpoint.path, "--chat", "hi", "--max-tokens", "12"]
    let text = try HerdRun(list: arguments)
    let object = try json(HerdRun(list: arguments + ["--json"]))
    #expect(text.status == 0)
    #expect(text.error.isEmpty)
    #expect(text.output == (object["text"]?.string ?? "") + "\n")
    #expect((object["tokens"]?.array?.count ?? 99) <= 12)
    #expect((object["prompt_tokens"]?.int ?? 0) > 2)

    let sampled = arguments + ["--temperature", "1.5", "--json", "--seed"]
    let (first, again) = (try HerdRun(list: sampled + ["7"]), try HerdRun(list: sampled + ["7"]))
    #expect(first.output == again.output)
    #expect(try HerdRun(list: sampled + ["8"]).output != first.output)
    #expect(try HerdRun("generate", checkpoint.path, "--prompt", "ab").status == 0)
  }

  @Test func aFullDiskIsAnError() throws {
    let run = try HerdRun(list: ["doctor"], output: "/dev/full")
    #expect(run.status == 1)
    #expect(run.errorLines.count == 1)
    #expect(run.error.contains("No space left"))
  }

  @Test func aReaderThatGoesAwayIsNoError() throws {
    let folder = checkpoint.folder
    let text = folder.write("long.txt", String(repeating: "some words\n", count: 50_000))
    let program = try HerdRun.program().path
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = [
      "-c", "\"$0\" tokenize \"$1\" --file \"$2\" 2> \"$3\" | head -n 1 > \"$4\"", program,
      checkpoint.path, text, folder.write("err", ""), folder.write("head", ""),
    ]
    try shell.run()
    shell.waitUntilExit()
    #expect(try Files.read("\(folder.path)/err").isEmpty)
    #expect(try Files.read("\(folder.path)/head").isEmpty == false)
  }
}
