import Formats
import Glibc
import Models
import Numerics
import TestSupport
import Testing

/// TransNormerLLM's and HGRN2's folders against their formulas written out in Double, tensor by tensor
/// under the names of the files.
@Suite struct DecoderLayoutTests {
  enum Kind: String, CaseIterable, Sendable { case transnormer, fla, original }

  static let (hidden, heads, layers, width, vocabulary) = (12, 3, 3, 10, 20)
  private static let dimension = hidden / heads
  private static let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6, 5]

  static func config(_ kind: Kind) -> JSONObject {
    switch kind {
    case .transnormer:
      [
        "model_type": "transnormer", "decoder_embed_dim": JSON(hidden),
        "decoder_layers": JSON(layers), "decoder_attention_heads": JSON(heads),
        "hidden_dim": JSON(hidden), "glu_dim": JSON(width), "vocab_size": JSON(vocabulary),
        "linear_act_fun": "silu", "linear_use_lrpe_list": [1, 0, 0], "norm_type": "simplermsnorm",
        "no_scale_embedding": false, "bias": false, "tie_word_embeddings": false,
      ]
    case .fla:
      [
        "model_type": "hgrn2", "hidden_size": JSON(hidden), "num_hidden_layers": JSON(layers),
        "num_heads": .null, "expand_ratio": JSON(dimension), "use_short_conv": false,
        "use_lower_bound": true, "hidden_ratio": 4, "intermediate_size": JSON(width),
        "hidden_act": "swish", "elementwise_affine": true, "norm_eps": 0.001,
        "vocab_size": JSON(vocabulary), "tie_word_embeddings": false, "attn": .null,
      ]
    case .original:
      [
        "model_type": "hgrn2", "decoder_embed_dim": JSON(hidden), "decoder_layers": JSON(layers),
        "expand_ratio": JSON(dimension), "glu_dim": JSON(width), "vocab_size": JSON(vocabulary),
        "in_act": "none", "out_act": "silu", "glu_act": "none", "causal": true, "bias": false,
        "norm_type": "simplermsnorm", "no_scale_embedding": true, "tie_word_embeddings": true,
      ]
    }
  }

  /// The names and shapes of the files, as their authors' code has them.
  private static func names(_ kind: Kind) -> [String: [Int]] {
    var names: [String: [Int]] = [:]
    if kind != .original { names["lm_head.weight"] = [vocabulary, hidden] }
    if kind != .transnormer { names["model.lower_bounds"] = [layers, hidden] }
    if kind == .fla {
      names["model.embeddings.weight"] = [vocabulary, hidden]
      names["model.norm.weight"] = [hidden]
    } else {
      names["model.embed_tokens.weight"] = [vocabulary, hidden]
    }
    for layer in 0..<layers {
      let prefix = "model.layers.\(layer)."
      switch kind {
      case .transnormer:
        names[prefix + "token_mixer.qkvu_proj.weight"] = [4 * hidden, hidden]
        if layer == 0 { names[prefix + "token_mixer.lrpe.theta"] = [heads, 1, dimension] }
      case .original: names[prefix + "token_mixer.in_proj.weight"] = [3 * hidden, hidden]
      case .fla:
        for name in ["q", "f", "i", "o"] {
          names[prefix + "attn.\(name)_proj.weight"] = [hidden, hidden]
        }
        for name in ["attn.g_norm", "attn_norm", "mlp_norm"] {
          names[prefix + name + ".weight"] = [hidden]
        }
        for name in ["gate", "up"] { names[prefix + "mlp.\(name)_proj.weight"] = [width, hidden] }
        names[prefix + "mlp.down_proj.weight"] = [hidden, width]
        continue
      }
      names[prefix + "token_mixer.out_proj.weight"] = [hidden, hidden]
      names[prefix + "channel_mixer.l1.weight"] = [width, hidden]
      names[prefix + "channel_mixer.l2.weight"] = [width, hidden]
      names[prefix + "channel_mixer.l3.weight"] = [hidden, width]
    }
    return names
  }

  @Test(arguments: Kind.allCases)
  func tensorsHaveTheNamesOfTheFiles(kind: Kind) throws {
    let bindings = try StockFolder(config: Self.config(kind)).layout().bindings
    let found = Dictionary(uniqueKeysWithValues: bindings.map { ($0.tensor, $0.shape) })
    #expect(found == Self.names(kind))
  }

  @Test(arguments: Kind.allCases)
  func theModelIsItsFormulas(kind: Kind) throws {
    let folder = TemporaryFolder()
    try StockFolder(config: Self.config(kind)).write(to: folder.path)
    let context = try Context(device: .cpu(threads: 1))
    let model = try StockFolder.model(folder.path, dtype: .f64, in: context)
    let found = context.readDoubles(model.logits(Self.tokens, in: context))
    #expect(relativeError(found, Twin(kind).logits(Self.tokens)) < 1e-12)
  }

  /// Training saves it in herd's own format, which holds the same model.
  @Test(arguments: Kind.allCases)
  func herdsFormatHoldsIt(kind: Kind) throws {
    try StockFolder(config: Self.config(kind)).expectHerdHoldsIt(Self.tokens)
  }

  @Test func whatCannotBeToldIsRefused() throws {
    func refusal(_ kind: Kind, _ edit: (inout JSONObject) -> Void) -> String {
      var config = Self.config(kind)
      edit(&config)
      do {
        _ = try StockFolder(config: config).layout()
        return "a model"
      } catch {
        return "\(error)"
      }
    }
    for kind in [Kind.transnormer, .original] {
      #expect(refusal(kind) { $0["norm_type"] = "layernorm" }.contains("simplermsnorm"))
      #expect(refusal(kind) { $0["bias"] = true }.contains("bias true"))
    }
    #expect(
      refusal(.transnormer) { $0["linear_use_lrpe_list"] = nil }.contains("3 numbers 0 or 1"))
    #expect(
      refusal(.transnormer) { $0["linear_use_lrpe_list"] = [1, 2, 0] }.contains("[1, 2, 0]"))
    #expect(
      refusal(.transnormer) { $0["decoder_attention_heads"] = 5 }
        .contains("decoder_attention_heads 5 does not divide hidden_dim 12"))
    #expect(refusal(.transnormer) { $0["linear_act_fun"] = "relu" }.contains("relu"))
    #expect(refusal(.fla) { $0["expand_ratio"] = 5 }.contains("do not divide hidden_size 12"))
    #expect(refusal(.fla) { $0["expand_ratio"] = 0 }.contains("expand_ratio"))
    #expect(refusal(.fla) { $0["num_heads"] = 2 }.contains("into num_heads 2"))
    #expect(refusal(.fla) { $0["use_short_conv"] = true }.contains("use_short_conv true"))
    #expect(refusal(.fla) { $0["attn"] = ["layers": [1]] }.contains("softmax layers of a hybrid"))
    #expect(refusal(.fla) { $0["hidden_size"] = nil }.contains("decoder_embed_dim"))
    #expect(refusal(.original) { $0["expand_ratio"] = 7 }.contains("decoder_embed_dim 12"))
    #expect(refusal(.original) { $0["in_act"] = "silu" }.contains("in_act"))

    func refusal(_ stock: StockFolder) throws -> String {
      let folder = TemporaryFolder()
      try stock.write(to: folder.path)
      return StockFolder.refusal(folder.path)
    }
    for kind in Kind.allCases {
      var stock = StockFolder(config: Self.config(kind))
      let extra = "model.layers.1.token_mixer.norm.weight"
      stock.tensors = [(extra, [12], [Double](repeating: 1, count: 12))]
      #expect(try refusal(stock).contains("\(extra) is not used"))
      stock.tensors = []
      let missing = kind == .fla ? "model.layers.1.attn.f_proj.weight" : "model.embed_tokens.weight"
      stock.missing = [missing]
      #expect(try refusal(stock).contains("\(missing) ["))
    }
  }

  /// A head is the embedding where `tie_word_embeddings` says so or nothing; another matrix is not lost.
  @Test(arguments: [Kind.transnormer, .original], [JSON?.none, true])
  func aTiedHeadIsNoOtherMatrix(kind: Kind, tied: JSON?) throws {
    func refusal(_ stock: StockFolder) throws -> String {
      let folder = TemporaryFolder()
      try stock.write(to: folder.path)
      return StockFolder.refusal(folder.path)
    }
    let folder = TemporaryFolder()
    var stock = StockFolder(config: Self.config(kind).merging("tie_word_embeddings", tied))
    let (name, shape) = (ParameterName.head, [Self.vocabulary, Self.hidden])
    let embedding = StockFolder.values(ParameterName.embedding, count: shape.reduce(1, *))
    stock.tensors = [(name, shape, embedding)]
    try stock.write(to: folder.path)
    let loader = try ModelLoader(
      layout: stock.layout(), checkpoint: Checkpoint(folder: folder.path))
    #expect(loader.ignoredTensors == [name] && loader.layout.configuration.tiedEmbeddings)
    stock.tensors[0].values[embedding.count - 1] += 0.5
    let line = try refusal(stock)
    #expect(line.contains("lm_head.weight is not model.embed_tokens.weight"))
    #expect(line.contains("\"tie_word_embeddings\" to false") && !line.contains("\n"))
    stock = StockFolder(config: Self.config(kind).merging("tie_word_embeddings", false))
    stock.tensors = [(name, shape, embedding.map { $0 + 0.5 })]
    #expect(try refusal(stock) == "a model")
  }

  /// The sizes that flash-linear-attention computes where fields are left out.
  @Test func ratiosOfFlashLinearAttentionAreDefaults() throws {
    var config = Self.config(.fla)
    (config["intermediate_size"], config["expand_ratio"]) = (nil, nil)
    config["hidden_size"] = 256
    let model = try StockFolder(config: config).layout().configuration
    #expect(model.blocks[0].mlp == .dense(.init(width: 768)))
    #expect(model.linearMixers[0]?.heads == 2)
    #expect(model.linearMixers[0]?.scale == 1 / 128.0.squareRoot())
  }
}

extension JSONObject {
  /// The same with another value of a field, or without it.
  fileprivate func merging(_ key: String, _ value: JSON?) -> JSONObject {
    var object = self
    object[key] = value
    return object
  }
}

/// The formulas, with weights by the names of the files.
private struct Twin {
  let kind: DecoderLayoutTests.Kind

  init(_ kind: DecoderLayoutTests.Kind) { self.kind = kind }

  private typealias T = DecoderLayoutTests
  private var d: Int { T.hidden / T.heads }
  private var epsilon: Double { kind == .fla ? 1e-3 : 1e-6 }

  private func weight(_ name: String, _ columns: Int) -> [[Double]] {
    let rows: Int
    switch name {
    case _ where name.contains("qkvu"): rows = 4 * T.hidden
    case _ where name.contains("in_proj"): rows = 3 * T.hidden
    case _ where name.contains("embed") || name.contains("lm_head"): rows = T.vocabulary
    case _ where name.contains("lower_bounds"): rows = T.layers
    case _ where name.hasSuffix("norm.weight"): rows = 1
    case _
    where ["l1.weight", "l2.weight", "gate_proj.weight", "up_proj.weight"]
      .contains { name.hasSuffix($0) }:
      rows = T.width
    default: rows = T.hidden
    }
    let values = StockFolder.values(name, count: rows * columns).map { Double(Float($0)) }
    return (0..<rows).map { Array(values[$0 * columns..<($0 + 1) * columns]) }
  }

  private func map(_ x: [[Double]], _ weight: [[Double]]) -> [[Double]] {
    x.map { row in weight.map { zip($0, row).reduce(0) { $0 + $1.0 * $1.1 } } }
  }

  private func norm(_ x: [[Double]], _ name: String?) -> [[Double]] {
    let gain = name.map { weight($0, T.hidden)[0] }
    return x.map { row in
      let size = (row.reduce(0) { $0 + $1 * $1 } / Double(row.count) + epsilon).squareRoot()
      return row.indices.map { row[$0] / size * (gain?[$0] ?? 1) }
    }
  }

  private func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
  private func silu(_ x: [[Double]]) -> [[Double]] { x.map { $0.map { $0 * sigmoid($0) } } }
  private func times(_ x: [[Double]], _ y: [[Double]]) -> [[Double]] {
    zip(x, y).map { zip($0, $1).map { $0 * $1 } }
  }

  /// `o_t = q_t · Σ_(s≤t) weight(s, t) k_s v_s`, pair by pair.
  private func mixed(
    _ q: [[Double]], _ k: [[Double]], _ v: [[Double]],
    weight: (_ from: Int, _ to: Int, _ channel: Int) -> Double
  ) -> [[Double]] {
    q.indices.map { t in
      var row = [Double](repeating: 0, count: T.hidden)
      for s in 0...t {
        for head in 0..<T.heads {
          let channels = head * d..<(head + 1) * d
          let score = channels.reduce(0) { $0 + q[t][$1] * k[s][$1] * weight(s, t, $1) }
          for channel in channels { row[channel] += score * v[s][channel] }
        }
      }
      return row
    }
  }

  private func mixer(_ x: [[Double]], _ layer: Int) -> [[Double]] {
    let prefix = "model.layers.\(layer)."
    func rows(_ all: [[Double]], _ part: Int) -> [[Double]] {
      Array(all[part * T.hidden..<(part + 1) * T.hidden])
    }
    if kind == .transnormer {
      let all = weight(prefix + "token_mixer.qkvu_proj.weight", T.hidden)
      let (q, k) = (silu(map(x, rows(all, 0))), silu(map(x, rows(all, 1))))
      // Three heads: those of two, and the first of four.
      let slopes = [0.0625, 0.00390625, 0.25].map {
        $0 * (1 - Double(layer) / Double(T.layers - 1) + 1e-5)
      }
      let theta = StockFolder.values(prefix + "token_mixer.lrpe.theta", count: T.hidden)
        .map { Double(Float($0)) }
      let o = mixed(q, k, map(x, rows(all, 2))) { s, t, channel in
        let decay = exp(-slopes[channel / d] * Double(t - s))
        return layer == 0 ? decay * cos(theta[channel] * Double(t - s)) : decay
      }
      return map(
        times(norm(o, nil), map(x, rows(all, 3))),
        weight(prefix + "token_mixer.out_proj.weight", T.hidden))
    }
    let (i, q, f): ([[Double]], [[Double]], [[Double]])
    if kind == .original {
      let all = weight(prefix + "token_mixer.in_proj.weight", T.hidden)
      (i, q, f) = (map(x, rows(all, 0)), map(x, rows(all, 1)), map(x, rows(all, 2)))
    } else {
      let read = { (name: String) in
        map(x, weight(prefix + "attn.\(name)_proj.weight", T.hidden))
      }
      (i, q, f) = (read("i"), read("q"), read("f"))
    }
    let table = weight("model.lower_bounds", T.hidden)
    let bound = (0..<T.hidden).map { channel -> Double in
      let all = (0..<T.layers).map { exp(table[$0][channel]) }
      // The sum of the layer's and earlier shares without the first.
      return layer == 0 ? 0 : all[1...layer].reduce(0, +) / all.reduce(0, +)
    }
    let forget = f.map { row in
      row.indices.map { bound[$0] + (1 - bound[$0]) * sigmoid(row[$0]) }
    }
    let scale = kind == .fla ? 1 / Double(d).squareRoot() : 1
    let o = mixed(silu(q), forget.map { $0.map { 1 - $0 } }, i) { s, t, channel in
      s == t ? scale : (s + 1...t).reduce(scale) { $0 * forget[$1][channel] }
    }
    return kind == .fla
      ? map(
        norm(o, prefix + "attn.g_norm.weight"), weight(prefix + "attn.o_proj.weight", T.hidden))
      : map(norm(o, nil), weight(prefix + "token_mixer.out_proj.weight", T.hidden))
  }

  private func mlp(_ x: [[Double]], _ layer: Int) -> [[Double]] {
    let prefix = "model.layers.\(layer)."
    if kind == .fla {
      let gate = silu(map(x, weight(prefix + "mlp.gate_proj.weight", T.hidden)))
      let up = map(x, weight(prefix + "mlp.up_proj.weight", T.hidden))
      return map(times(gate, up), weight(prefix + "mlp.down_proj.weight", T.width))
    }
    let l1 = map(x, weight(prefix + "channel_mixer.l1.weight", T.hidden))
    let l2 = map(x, weight(prefix + "channel_mixer.l2.weight", T.hidden))
    return map(times(l1, l2), weight(prefix + "channel_mixer.l3.weight", T.width))
  }

  func logits(_ tokens: [Int32]) -> [Double] {
    let isFla = kind == .fla
    let table = weight(
      isFla ? "model.embeddings.weight" : "model.embed_tokens.weight", T.hidden)
    let scale = kind == .transnormer ? Double(T.hidden).squareRoot() : 1
    var x = tokens.map { table[Int($0)].map { $0 * scale } }
    func add(_ part: [[Double]]) { x = zip(x, part).map { zip($0, $1).map { $0 + $1 } } }
    for layer in 0..<T.layers {
      let prefix = "model.layers.\(layer)."
      add(mixer(norm(x, isFla ? prefix + "attn_norm.weight" : nil), layer))
      add(mlp(norm(x, isFla ? prefix + "mlp_norm.weight" : nil), layer))
    }
    let head = kind == .original ? table : weight("lm_head.weight", T.hidden)
    return map(norm(x, isFla ? "model.norm.weight" : nil), head).flatMap { $0 }
  }
}
