/// The closed word lists the templates draw from: short, common, plain ASCII.
enum SyntheticWords {
  static let names = [
    "Ada", "Ben", "Cora", "Dan", "Eva", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kate", "Leo",
    "Mia", "Nina", "Omar", "Paul", "Rosa", "Sam", "Tom", "Uma", "Vera", "Will", "Yara", "Zoe",
  ]
  static let foods = [
    "apples", "beans", "bread", "butter", "cheese", "cherries", "eggs", "fish", "honey", "juice",
    "lemons", "milk", "nuts", "onions", "pears", "plums", "rice", "salt", "soup", "tea",
  ]
  static let things = [
    "books", "boxes", "cards", "coins", "cups", "keys", "maps", "pens", "rings", "shells",
    "stamps", "stones",
  ]
  static let colours = [
    "black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow",
  ]
  static let animals = [
    "bear", "bird", "cat", "cow", "dog", "duck", "fox", "frog", "goat", "horse", "lion", "mouse",
    "owl", "rabbit", "sheep", "wolf",
  ]
  static let cities = [
    "Athens", "Berlin", "Cairo", "Delhi", "Dublin", "Lima", "London", "Madrid", "Oslo", "Paris",
    "Prague", "Rome", "Tokyo", "Vienna",
  ]
  static let words = [
    "ball", "boat", "bridge", "chair", "cloud", "door", "field", "fire", "garden", "hill", "house",
    "lake", "lamp", "leaf", "moon", "mountain", "paper", "rain", "river", "road", "sea", "ship",
    "snow", "star", "street", "sun", "table", "train", "tree", "wall", "wind", "window",
  ]
  static let days = [
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
  ]
  static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  static let ordinals = ["first", "second", "third", "fourth", "fifth"]
  static let variables = ["a", "b", "c", "x", "y", "z", "n", "m", "k"]
  static let functions = [
    "apply", "build", "change", "convert", "find", "get", "make", "process", "run", "solve",
    "update", "work",
  ]
  static let lists = ["items", "values", "nums", "data", "row"]
}
