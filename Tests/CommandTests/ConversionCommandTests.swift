import Formats
import TestSupport
import Testing

/// `convert`, `verify` and `export`, on a checkpoint written here.
@Suite struct ConversionCommandTests {
  private let checkpoint: ChatCheckpoint
  private let folder = TemporaryFolder()

  init() throws { checkpoint = try ChatCheckpoint() }

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func convert(_ out: String, _ options: String...) throws -> HerdRun {
    try HerdRun(list: ["convert", checkpoint.path, path(out), "--threads", "1"] + options)
  }

  private func json(_ run: HerdRun) throws -> JSON {
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))
  }

  private func expectError(
    _ words: String, _ run: HerdRun, status: Int32 = 1,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(run.status == status, sourceLocation: sourceLocation)
    #expect(run.output.isEmpty, sourceLocation: sourceLocation)
    #expect(run.error.contains(words), "\(run.error)", sourceLocation: sourceLocation)
    if status == 1 {
      #expect(run.errorLines.count == 1, "\(run.error)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: ["heads", "kv-group", "moa"])
  func attentionConvertsVerifiesInspectsAndGenerates(attention: String) throws {
    let data = checkpoint.data("toy.jsonl")
    let converted = try json(
      convert(
        "attention", "--strategy", "none", "--attention", attention, "--attention-top-k", "1",
        "--data", data, "--calibration-tokens", "64", "--json"))
    #expect(converted["verification"]?["passed"] == true)
    #expect(converted["attention"]?["strategy"]?.string == attention)
    let verified = try json(
      HerdRun("verify", path("attention"), "--against", checkpoint.path, "--json", "--quiet"))
    #expect(verified["ledger"]?["restored_tensors"]?.int == ChatCheckpoint.tensors.count)
    let inspected = try json(HerdRun("inspect", path("attention"), "--json"))
    let mixer = inspected["architecture"]?["blocks"]?.array?.first?["mixer"]
    #expect(mixer?["mixture"]?["kind"]?.string == attention)
    let parameters = inspected["parameters"]
    #expect((parameters?["active"]?.int ?? 0) < (parameters?["total"]?.int ?? 0))
    #expect(try HerdRun("inspect", path("attention")).output.contains("experts (\(attention))"))
    let reply = try HerdRun(
      "generate", path("attention"), "--prompt", "two?", "--max-tokens", "6", "--threads", "1")
    #expect(reply.status == 0, "\(reply.error)")
    expectError(
      "attention is made of experts",
      try HerdRun("export", path("attention"), path("out"), "--format", "mixtral"))
  }

  @Test func attentionOptionsAreChecked() throws {
    expectError("did you mean \"heads\"", try convert("a", "--attention", "head"), status: 64)
    expectError(
      "attention stays dense", try convert("a", "--attention-experts", "2"), status: 64)
    expectError("nothing would become", try convert("a", "--strategy", "none", "--plan"))
    expectError(
      "do not divide 4 query heads",
      try convert(
        "a", "--attention", "heads", "--attention-experts",
        "2", "--attention-shared", "1", "--plan"))
    expectError(
      "attention is made of experts",
      try convert(
        "a", "--attention", "moa", "--format", "mixtral", "--shared", "0", "--experts", "4"))
  }

  @Test func convertVerifyExport() throws {
    let data = checkpoint.data("toy.jsonl")
    let converted = try json(
      convert(
        "moe", "--experts", "4", "--top-k", "2", "--shared", "0", "--combination",
        "renormalized_softmax", "--strategy", "cluster-weights", "--router", "centroid", "--format",
        "herd", "--data", data, "--calibration-tokens", "64", "--json"))
    #expect(converted["verification"]?["passed"] == true)
    let verified = try json(
      HerdRun("verify", path("moe"), "--against", checkpoint.path, "--json", "--quiet"))
    #expect(verified["passed"] == true)
    #expect(verified["ledger"]?["restored_tensors"]?.int == ChatCheckpoint.tensors.count)
    let difference = try #require(verified["max_logit_difference"]?.double)
    #expect(difference <= (verified["tolerance"]?.double ?? 0))
    let text = try HerdRun("verify", path("moe"), "--against", checkpoint.path)
    #expect(text.output.contains("restored byte for byte: \(ChatCheckpoint.tensors.count)"))

    expectError(
      "no router bias", try HerdRun("export", path("moe"), path("out"), "--format", "mixtral"))
    #expect(!Files.exists(path("out")))
    let fits = try convert(
      "plain", "--experts", "4", "--top-k", "2", "--shared", "0", "--strategy", "random",
      "--router", "random", "--quiet")
    #expect(fits.status == 0 && fits.error.isEmpty)
    let exported = try json(
      HerdRun("export", path("plain"), path("out"), "--format", "mixtral", "--json"))
    #expect(exported["format"] == "mixtral")
    let found = try json(HerdRun("inspect", path("out"), "--json"))
    #expect(found["tokenizer"]?["chat_format"] == "llama3")
    expectError(
      "--force", try HerdRun("export", path("plain"), path("out"), "--format", "mixtral"))
    expectError(
      "an export starts from", try HerdRun("export", path("plain"), path("x"), "--format", "herd"),
      status: 64)
    #expect(
      try HerdRun("export", path("plain"), path("out"), "--format", "mixtral", "--force").status
        == 0)
  }

  @Test func densifyGivesTheSourceBack() throws {
    #expect(
      try convert(
        "moe", "--experts", "4", "--top-k", "2", "--shared", "0", "--strategy", "random",
        "--router", "random", "--quiet"
      ).status == 0)
    let result = try json(HerdRun("densify", path("moe"), path("back"), "--json", "--quiet"))
    #expect(result["exact"] == true && result["lost"]?.isNull == true)
    let same = try HerdRun("diff", checkpoint.path, path("back"), "--quiet")
    #expect(same.status == 0 && same.output.hasSuffix("\nequal\n"))
    let found = try HerdRun("diff", checkpoint.path, path("moe"), "--json", "--quiet")
    #expect(found.status == 1 && found.error.isEmpty)
    let difference = try JSON.parse(Array(found.output.utf8))
    #expect(difference["equal"] == false)
    #expect(difference["neurons"]?.array?.allSatisfy { $0["permutation"] == true } == true)
    expectError("no such folder", try HerdRun("diff", checkpoint.path, path("none")), status: 2)
    expectError("dense already", try HerdRun("densify", checkpoint.path, path("out"), "--quiet"))
    try Files.remove(path("moe/herd_ledger.json"))
    expectError("--weights-as-one", try HerdRun("densify", path("moe"), path("out"), "--quiet"))
    #expect(!Files.exists(path("out")))
    let forced = try HerdRun("densify", path("moe"), path("out"), "--weights-as-one", "--quiet")
    #expect(forced.output.contains("lost: 2 routers"))
    let shuffled = try HerdRun("diff", checkpoint.path, path("out"), "--quiet")
    #expect(shuffled.output.contains("layer 0: the same 24 neurons in another order"))
  }

  @Test func exportsOneFileForLlamaCpp() throws {
    let dense = try json(
      HerdRun("export", checkpoint.path, path("dense.gguf"), "--format", "gguf", "--json"))
    #expect(dense["architecture"] == "llama" && dense["dtype"] == "bf16")
    let bytes = try Files.read(path("dense.gguf"))
    #expect(bytes.prefix(8) == [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0])
    expectError(
      "--force", try HerdRun("export", checkpoint.path, path("dense.gguf"), "--format", "gguf"))
    #expect(
      try convert(
        "moe", "--experts", "3", "--top-k", "2", "--shared", "1", "--strategy", "random",
        "--router", "random", "--combination", "gained", "--quiet"
      ).status == 0)
    let moe = try json(
      HerdRun(
        "export", path("moe"), path("moe.gguf"), "--format", "gguf", "--dtype", "f32", "--json"))
    #expect(moe["architecture"] == "glm4moe")
    #expect(
      try convert(
        "heads", "--strategy", "none", "--attention", "heads", "--attention-top-k", "1", "--router",
        "random", "--quiet"
      ).status == 0)
    expectError(
      "attention is made of experts",
      try HerdRun("export", path("heads"), path("out.gguf"), "--format", "gguf"))
    #expect(folder.names == ["dense.gguf", "heads", "moe", "moe.gguf"])
  }

  /// Every strategy converts with nothing but sizes and data, and its folder is verified.
  @Test(arguments: [
    "sequential", "random", "cluster-weights", "activation", "coactivation", "gradient",
    "gradient-residual", "sharing-inner", "sharing-inter", "prune",
  ])
  func strategiesNeedNoMoreThanSizesAndData(strategy: String) throws {
    let data = checkpoint.data("toy.jsonl")
    let converted = try json(
      convert(
        "moe", "--strategy", strategy, "--experts", "8", "--top-k", "2", "--data", data,
        // Fewer than usual, for time alone.
        "--calibration-tokens", "256", "--json"))
    #expect(converted["verification"]?["passed"] == true)
    let verified = try HerdRun("verify", path("moe"), "--against", checkpoint.path)
    #expect(verified.status == 0, "\(verified.error)")
    let isWhole = converted["dropped_neurons"]?.int == 0
    #expect(isWhole != ["sharing-inner", "sharing-inter", "prune"].contains(strategy))
    #expect(verified.output.contains("MLP neurons: ") != isWhole)
    #expect(verified.output.contains("restricted to the neurons kept") != isWhole)
    #expect(
      verified.output.contains("restored byte for byte: \(ChatCheckpoint.tensors.count)"))
  }

  /// Whole copies, from conversion to what a user does with the folder.
  @Test(arguments: ["upcycle", "drop-upcycle"])
  func upcyclingByCommand(strategy: String) throws {
    let listed = try json(HerdRun("strategies", "--json"))["mlp"]?.array ?? []
    #expect(listed.contains { $0["name"]?.string == strategy })
    let isWhole = strategy == "upcycle"
    let converted = try json(
      convert(
        "moe", "--strategy", strategy, "--experts", "8", "--top-k", "2", "--data",
        checkpoint.data("toy.jsonl"), "--json"))
    #expect(converted["verification"]?["passed"] == true)
    #expect(converted["verification"]?["as_routed"]?.bool == isWhole)
    let arguments = ["verify", path("moe"), "--against", checkpoint.path, "--quiet"]
    let verified = try HerdRun(list: arguments)
    #expect(verified.status == 0, "\(verified.error)")
    #expect(verified.output.contains("MLP neurons: each of 8 experts is a copy"))
    #expect(verified.output.contains("drawn anew") != isWhole)
    #expect(verified.output.contains("as the routers choose") == isWhole)
    #expect(
      verified.output.contains("restored byte for byte: \(ChatCheckpoint.tensors.count)"))
    let inspected = try json(HerdRun("inspect", path("moe"), "--json"))
    let mlp = inspected["architecture"]?["blocks"]?.array?.first?["mlp"]
    #expect(mlp?["expert_width"]?.int == 24)
    let reply = try HerdRun(
      "generate", path("moe"), "--prompt", "two?", "--max-tokens", "6", "--threads", "1")
    #expect(reply.status == 0, "\(reply.error)")
    if isWhole {
      let same = try HerdRun(
        "generate", checkpoint.path, "--prompt", "two?", "--max-tokens", "6", "--threads", "1")
      #expect(same.output == reply.output)
    }
    for format in ["mixtral", "gguf"] {
      let name = format == "gguf" ? "moe.gguf" : format
      let exported = try HerdRun("export", path("moe"), path(name), "--format", format)
      #expect(exported.status == 0, "\(exported.error)")
    }
    let back = try HerdRun("densify", path("moe"), path("back"), "--quiet")
    if isWhole {
      #expect(try HerdRun("diff", checkpoint.path, path("back"), "--quiet").status == 0)
    } else {
      expectError("drawn anew", back)
    }
    let weights = path("moe/model.safetensors")
    var bytes = try Files.read(weights)
    bytes[bytes.count - 40] ^= 1
    try Files.write(bytes, to: weights)
    expectError("do not come back", try HerdRun(list: arguments))
    // Another model than the one that the ledger tells of.
    bytes[bytes.count - 40] ^= 1
    try Files.write(bytes, to: weights)
    let config = path("moe/config.json")
    let text = String(decoding: try Files.read(config), as: UTF8.self)
    let other = text.replacing("\"top_k\": 2", with: "\"top_k\": 3")
    #expect(other != text)
    try Files.write(other, to: config)
    expectError("tells of 8 top-2", try HerdRun(list: arguments))
  }

  @Test func upcyclingOptionsAreChecked() throws {
    let sizes = [
      "convert", checkpoint.path, path("x"), "--experts", "8", "--top-k", "2", "--quiet",
    ]
    func run(_ options: String...) throws -> HerdRun { try HerdRun(list: sizes + options) }
    expectError(
      "drop_ratio is for the strategy drop-upcycle",
      try run("--strategy", "upcycle", "--drop-ratio", "0.5"), status: 64)
    for ratio in ["0", "1", "nan", "-1"] {
      expectError(
        "above 0 and below 1", try run("--strategy", "drop-upcycle", "--drop-ratio=\(ratio)"))
    }
    expectError("ratio", try run("--strategy", "drop-upcycle", "--drop-ratio", "x"), status: 64)
    expectError("nothing to share", try run("--strategy", "upcycle", "--shared", "1"))
    expectError("--router random", try run("--strategy", "upcycle", "--router", "regressed"))
    expectError("use each neuron once", try run("--strategy", "upcycle", "--recovery", "scale"))
    expectError("cannot hold", try run("--strategy", "upcycle", "--format", "qwen2_moe"))
    #expect(folder.names.isEmpty)
  }

  @Test func prunedAndKeptLayersByCommand() throws {
    let data = checkpoint.data("toy.jsonl")
    let narrow = try json(
      convert(
        "narrow", "--strategy", "prune", "--experts", "4", "--top-k", "1", "--shared", "0",
        "--format", "llama", "--data", data, "--calibration-tokens", "64", "--json"))
    #expect(narrow["dropped_neurons"]?.int == 2 * 18)
    let inspected = try json(HerdRun("inspect", path("narrow"), "--json"))
    #expect(inspected["architecture"]?["blocks"]?.array?.first?["mlp"]?["width"]?.int == 6)
    let reply = try HerdRun(
      "generate", path("narrow"), "--prompt", "two?", "--max-tokens", "4", "--threads", "1")
    #expect(reply.status == 0, "\(reply.error)")

    let sizes = [
      "--experts", "3", "--top-k", "1", "--shared", "1", "--data", data, "--calibration-tokens",
      "64",
    ]
    let kept = try json(
      HerdRun(
        list: ["convert", checkpoint.path, path("kept"), "--keep-dense", "0", "--json"] + sizes))
    #expect(kept["layer_errors"]?.array?.count == 1)
    #expect(try HerdRun("verify", path("kept"), "--against", checkpoint.path).status == 0)
    let arguments = ["convert", checkpoint.path, path("x")] + sizes
    expectError(
      "layers 0 to 1", try HerdRun(list: arguments + ["--keep-dense", "0,2", "--quiet"]))
    expectError(
      "list of layers", try HerdRun(list: arguments + ["--keep-dense", "0,x"]), status: 64)
    expectError(
      "gradient and gradient-residual", try HerdRun(list: arguments + ["--assignment", "greedy"]),
      status: 64)
    expectError(
      "--strategy prune", try HerdRun(list: arguments + ["--format", "llama", "--quiet"]))
  }

  @Test func aPlanTouchesNothing() throws {
    let before = checkpoint.folder.names
    let plan = try json(
      convert("moe", "--experts", "3", "--top-k", "1", "--shared", "1", "--plan", "--json"))
    #expect(plan["expert_width"]?.int == 6)
    #expect(plan["active_share"]?.double == 0.5)
    let text = try convert("moe", "--experts", "3", "--top-k", "1", "--shared", "1", "--plan")
    #expect(text.output.contains("3 routed experts of 6"))
    #expect(folder.names.isEmpty)
    #expect(checkpoint.folder.names == before)
  }

  @Test func anOutputFolderIsReplacedOnlyByForce() throws {
    folder.write("moe/precious.txt", "mine")
    let options = ["--experts", "3", "--shared", "1", "--top-k", "1", "--strategy", "random"]
    let arguments = ["convert", checkpoint.path, path("moe"), "--router", "random"] + options
    expectError("--force", try HerdRun(list: arguments + ["--quiet"]))
    #expect(try Files.names(inFolder: path("moe")) == ["precious.txt"])
    #expect(try HerdRun(list: arguments + ["--quiet", "--force"]).status == 0)
    #expect(!Files.exists(path("moe/precious.txt")))
    #expect(folder.names == ["moe"])
  }

  @Test func sizesThatDoNotFit() throws {
    expectError(
      "--experts 4 or --experts 6", try convert("moe", "--experts", "5", "--shared", "0"))
    expectError(
      "between 1 and 4", try convert("moe", "--experts", "4", "--top-k", "5", "--shared", "0"))
    expectError(
      "granitemoeshared",
      try convert("moe", "--experts", "3", "--shared", "1", "--top-k", "1", "--format", "mixtral"))
    #expect(folder.names.isEmpty)
  }

  @Test func aDamagedMixtureIsFound() throws {
    #expect(
      try convert(
        "moe", "--experts", "3", "--top-k", "1", "--shared", "1", "--strategy", "random",
        "--router", "random"
      ).status == 0)
    let weights = path("moe/model.safetensors")
    let whole = try Files.read(weights)
    var bytes = whole
    bytes[bytes.count - 40] ^= 1
    try Files.write(bytes, to: weights)
    let arguments = ["verify", path("moe"), "--against", checkpoint.path, "--quiet"]
    expectError("do not come back", try HerdRun(list: arguments))
    try Files.write(whole, to: weights)
    #expect(try HerdRun(list: arguments).status == 0)
    let other = try ChatCheckpoint(seed: 2)
    expectError(
      "do not come back",
      try HerdRun("verify", path("moe"), "--against", other.path, "--quiet"))
  }

  @Test(arguments: [
    (["convert", "a"], "out"),
    (["convert", "a", "b", "--strategy", "sequental"], "sequential"),
    (["convert", "a", "b", "--router", "magic"], "centroid"),
    (["convert", "a", "b", "--format", "gguf"], "granitemoeshared"),
    (["convert", "a", "b", "--combination", "sum"], "renormalized_softmax"),
    (["convert", "a", "b", "--experts", "x"], "experts"),
    (["export", "a", "b"], "--format"), (["export", "a", "b", "--format", "mixtrl"], "mixtral"),
    (["export", "a", "b", "--format", "ggfu"], "gguf"), (["densify", "a"], "out"),
    (["export", "a", "b", "--format", "gguf", "--dtype", "q4"], "q8_0"),
    (["export", "a", "b", "--format", "mixtral", "--dtype", "f32"], "--format gguf"),
    (["diff", "a"], "second"),
    (["verify", "a"], "--against"), (["run"], "pipeline"), (["train"], "pipeline"),
  ])
  func wrongUsage(arguments: [String], words: String) throws {
    expectError(words, try HerdRun(list: arguments), status: 64)
  }
}
