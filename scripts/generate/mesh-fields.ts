// Writes `generated/istio/mesh-fields.json`: every field of MeshConfig and ProxyConfig of the pinned istio.io/api. A
// test checks the table of supported fields against it. Needs Go. Run `node scripts/generate/mesh-fields.ts` after
// changing the pin.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * A field below a message: its JSON path and its type. In the type `enum WORD`, the word is the first value that is not
 * the default.
 */
interface Field {
  readonly path: string;
  readonly type: string;
}

interface Message {
  readonly fields: { readonly name: string; readonly type: string; readonly shape: "single" | "list" | "map" }[];
  readonly messages: Map<string, Message>;
  readonly enums: Map<string, readonly string[]>;
}

const root = join(import.meta.dirname, "../..");
const module = execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", "istio.io/api"], {
  cwd: join(import.meta.dirname, "protos"),
  encoding: "utf8",
}).trim();
const files = ["config", "proxy"].map((name) => readFileSync(join(module, "mesh/v1alpha1", `${name}.proto`), "utf8"));

function parse(texts: readonly string[]): Message {
  const top: Message = { fields: [], messages: new Map(), enums: new Map() };
  for (const text of texts) {
    const plain = text.replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, "");
    parseBody(plain.match(/"[^"]*"|[\w.]+|[^\s\w]/g) ?? [], 0, top);
  }
  return top;
}

/** Reads a body to its closing brace. Returns the position after the brace. */
function parseBody(tokens: readonly string[], start: number, into: Message): number {
  let at = start;
  while (at < tokens.length) {
    const word = tokens[at];
    if (word === "}") return at + 1;
    if (word === "message" || word === "oneof") {
      const nested: Message = word === "oneof" ? into : { fields: [], messages: new Map(), enums: new Map() };
      if (word === "message") into.messages.set(tokens[at + 1] ?? "", nested);
      at = parseBody(tokens, at + 3, nested);
    } else if (word === "enum") {
      const end = tokens.indexOf("}", at);
      into.enums.set(
        tokens[at + 1] ?? "",
        tokens.slice(at + 3, end).filter((name, index, all) => /^[A-Z]/.test(name) && all[index + 1] === "="),
      );
      at = end + 1;
    } else {
      const end = tokens.indexOf(";", at);
      addField(tokens.slice(at, end), into);
      at = end + 1;
    }
  }
  return at;
}

function addField(statement: readonly string[], into: Message): void {
  const equals = statement.indexOf("=");
  const first = statement[0] ?? "";
  if (equals < 2 || ["syntax", "option", "package", "import", "reserved"].includes(first)) return;
  const name = statement[equals - 1] ?? "";
  const override = statement.indexOf("json_name");
  const json =
    override === -1
      ? name.replaceAll(/_([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase())
      : (statement[override + 2] ?? "").replaceAll('"', "");
  if (first === "map") into.fields.push({ name: json, type: statement[4] ?? "", shape: "map" });
  else
    into.fields.push({
      name: json,
      type: statement[equals - 2] ?? "",
      shape: first === "repeated" ? "list" : "single",
    });
}

const scalars: Readonly<Record<string, string>> = {
  string: "string",
  bool: "boolean",
  int32: "integer",
  int64: "integer",
  uint32: "integer",
  uint64: "integer",
  double: "number",
  float: "number",
  "google.protobuf.Duration": "duration",
  "google.protobuf.BoolValue": "boolean",
  "google.protobuf.Int32Value": "integer",
  "google.protobuf.UInt32Value": "integer",
  "google.protobuf.DoubleValue": "number",
  "google.protobuf.Int64Value": "integer",
};

function fieldsOf(type: string, scope: readonly Message[]): readonly Field[] {
  const scalar = scalars[type];
  if (scalar !== undefined) return [{ path: "", type: scalar }];
  const [head = "", ...rest] = type.split(".");
  for (const [index, message] of scope.entries()) {
    const words = rest.length === 0 ? message.enums.get(head) : undefined;
    if (words !== undefined) return [{ path: "", type: `enum ${words[1] ?? words[0] ?? ""}` }];
    let nested = message.messages.get(head);
    const path = scope.slice(index);
    for (const name of rest) {
      if (nested === undefined) break;
      path.unshift(nested);
      const inner = nested.enums.get(name);
      if (inner !== undefined) return [{ path: "", type: `enum ${inner[1] ?? inner[0] ?? ""}` }];
      nested = nested.messages.get(name);
    }
    if (nested === undefined) continue;
    if (nested.fields.length === 0) return [{ path: "", type: "object" }];
    return nested.fields.flatMap((field) => {
      const step = { single: "", list: "[]", map: "{}" }[field.shape];
      return fieldsOf(field.type, [nested, ...path]).map((found) => ({
        path: `.${field.name}${step}${found.path}`,
        type: found.type,
      }));
    });
  }
  // The type is from another package, such as Struct. The output does not list its fields.
  return [{ path: "", type: "object" }];
}

const top = parse(files);
const target = join(root, "generated/istio");
mkdirSync(target, { recursive: true });
const proxy = new Set(fieldsOf("ProxyConfig", [top]));
const mesh = fieldsOf("MeshConfig", [top]).filter(({ path }) => !path.startsWith(".defaultConfig."));
const list = (fields: Iterable<Field>) =>
  Object.fromEntries([...fields].map(({ path, type }) => [path.slice(1), type]));
writeFileSync(
  join(target, "mesh-fields.json"),
  `${JSON.stringify({ MeshConfig: list(mesh), ProxyConfig: list(proxy) }, undefined, 1)}\n`,
);
console.log(`wrote ${mesh.length} fields of MeshConfig and ${proxy.size} of ProxyConfig`);
