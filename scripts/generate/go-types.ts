// Reads the field tables out of Kubernetes' Go type declarations: names, wire numbers, pointers and omitempty. No other
// published file has all of these. It parses only the subset of Go that those files use.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface GoField {
  /** The field's name in JSON. */
  readonly name: string;
  /** The field's number on the wire. 0 if it has none. */
  readonly number: number;
  /** The type code. generated/kubernetes/README.md lists them. */
  readonly type: string;
  readonly pointer: boolean;
  /** Whether JSON leaves out a zero value. Go's omitempty never leaves out a struct, but omitzero does. */
  readonly omitted: boolean;
  /**
   * Whether the field is an embedded struct. In JSON, its fields belong to the parent. On the wire, it is a message of
   * its own.
   */
  readonly inline: boolean;
}

interface Declaration {
  readonly package: string;
  readonly expression: string;
  readonly fields: readonly RawField[] | undefined;
  /** Whether the type is a named slice, which on the wire is a message with `items`. */
  readonly wrapped: boolean;
}

interface RawField {
  readonly goName: string;
  readonly goType: string;
  readonly tag: string;
}

/** The type codes of types that are no plain struct in JSON or on the wire. */
const special: Readonly<Record<string, string>> = {
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "T",
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "M",
  "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "D",
  "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "F",
  "io.k8s.apimachinery.pkg.api.resource.Quantity": "Q",
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "I",
  "io.k8s.apimachinery.pkg.runtime.RawExtension": "R",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "J",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "B",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "A",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "P",
};

const scalars: Readonly<Record<string, string>> = {
  string: "s",
  bool: "b",
  int: "i",
  int32: "i",
  uint16: "i",
  uint32: "i",
  int64: "l",
  uint64: "l",
  float64: "d",
  float32: "d",
  "[]byte": "y",
};

export class GoTypes {
  readonly #declarations = new Map<string, Declaration>();
  /** For each package, the local names of its imports and the prefixes of the imported packages. */
  readonly #imports = new Map<string, Map<string, string>>();

  /** Reads all type files of a folder as the package with that OpenAPI prefix (`io.k8s.api.core.v1`). */
  addPackage(prefix: string, folder: string, importPrefixes: Readonly<Record<string, string>>): void {
    const imports = new Map<string, string>();
    this.#imports.set(prefix, imports);
    const files = readdirSync(folder).filter(
      (file) => file.endsWith(".go") && !/_test\.go$|^zz_|generated|_swagger_doc/.test(file),
    );
    for (const file of files) {
      const source = readFileSync(join(folder, file), "utf8");
      for (const [, alias, path = ""] of source.matchAll(/^\s*(?:import\s+)?(\w+)?\s*"([\w./-]+)"$/gm)) {
        const target = importPrefixes[path];
        if (target !== undefined) imports.set(alias ?? path.slice(path.lastIndexOf("/") + 1), target);
      }
      this.#addSource(prefix, source);
    }
  }

  #addSource(prefix: string, source: string): void {
    const pattern =
      /((?:^\/\/[^\n]*\n)*)^type (\w+) (?:struct \{\n([\s\S]*?)^\}|(struct\{\}|[^\n{]+?)(?:\s*\/\/[^\n]*)?$)/gm;
    for (const [, comments = "", name = "", body, expression] of source.matchAll(pattern)) {
      const empty = expression?.trim() === "struct{}";
      const fields = body === undefined && !empty ? undefined : parseFields(body ?? "");
      this.#declarations.set(`${prefix}.${name}`, {
        package: prefix,
        expression: expression?.trim() ?? "struct",
        fields,
        wrapped: comments.includes("+protobuf.nullable=true"),
      });
    }
  }

  has(name: string): boolean {
    return this.#declarations.get(name)?.fields !== undefined;
  }

  /** Returns the fields of a struct in the order of their declarations. */
  fieldsOf(name: string): readonly GoField[] {
    const declaration = this.#declarations.get(name);
    if (declaration?.fields === undefined) throw new Error(`no struct ${name}`);
    const result: GoField[] = [];
    for (const field of declaration.fields) {
      const json = /json:"([^"]*)"/.exec(field.tag)?.[1] ?? "";
      const wire = /protobuf:"([^"]*)"/.exec(field.tag)?.[1] ?? "";
      if (json.startsWith("-") && wire === "") continue;
      const [jsonName = "", ...options] = json.split(",");
      const number = Number(wire.split(",")[1] ?? 0);
      const pointer = field.goType.startsWith("*");
      const inline = options.includes("inline");
      if (inline && number === 0) continue;
      const type = this.#code(field.goType.replace(/^\*/, ""), declaration.package);
      const structLike = !pointer && /^[#TMDQIRFJ]/.test(type);
      const omitted = options.includes("omitzero") || (options.includes("omitempty") && !structLike);
      result.push({ name: jsonName === "" ? field.goName : jsonName, number, type, pointer, omitted, inline });
    }
    return result;
  }

  #code(goType: string, inPackage: string): string {
    const scalar = scalars[goType];
    if (scalar !== undefined) return scalar;
    if (goType.startsWith("[]")) return `[${this.#code(goType.slice(2).replace(/^\*/, ""), inPackage)}`;
    const map = /^map\[[\w.]+\](.+)$/.exec(goType);
    if (map?.[1] !== undefined) return `{${this.#code(map[1], inPackage)}`;
    const name = this.#resolve(goType, inPackage);
    const known = special[name];
    if (known !== undefined) return known;
    const declaration = this.#declarations.get(name);
    if (declaration === undefined) throw new Error(`unknown type ${goType} (${name}) in ${inPackage}`);
    if (declaration.fields !== undefined) return `#${name}`;
    const code = this.#code(declaration.expression, declaration.package);
    return declaration.wrapped && code.startsWith("[") ? `w${code.slice(1)}` : code;
  }

  #resolve(goType: string, inPackage: string): string {
    const [qualifier, name] = goType.includes(".") ? goType.split(".") : [undefined, goType];
    if (qualifier === undefined) return `${inPackage}.${name ?? ""}`;
    if (qualifier === "types" || qualifier === "k8sruntime") return `${qualifier}.${name ?? ""}`;
    return `${this.#imports.get(inPackage)?.get(qualifier) ?? qualifier}.${name ?? ""}`;
  }

  /** Adds a named string type of a package that is not read. */
  addAlias(name: string, expression: string): void {
    this.#declarations.set(name, { package: "", expression, fields: undefined, wrapped: false });
  }
}

function parseFields(body: string): RawField[] {
  const fields: RawField[] = [];
  for (const line of body.replace(/\/\*[\s\S]*?\*\//g, "").split("\n")) {
    const text = line.trim();
    if (text === "" || text.startsWith("//")) continue;
    const match = /^(?:(\w+)\s+)?([\w.*[\]]+)\s*(?:`([^`]*)`)?/.exec(text);
    if (match?.[2] === undefined) continue;
    const goName = match[1] ?? match[2].replace(/^\*/, "").split(".").at(-1) ?? "";
    fields.push({ goName, goType: match[2], tag: match[3] ?? (match[1] === undefined ? 'json:",inline"' : "") });
  }
  return fields;
}
