// Generates `generated/envoy/types.binpb.br`, the descriptors of Envoy's whole v3 API, because EnvoyFilters may use any
// part of it, and `type-names.json` with the names of its types. Reads them from the generated Go code of pinned
// modules, which contains them as string constants. Needs Go to download the modules. Run `node
// scripts/generate/envoy-types.ts` after changing a pin.
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  EnumOptionsSchema,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MessageOptionsSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { moduleFolder } from "./module-folder.ts";

const root = join(import.meta.dirname, "../..");
const target = join(root, "generated", "envoy");

/** Modules, with the folders to read in each. Their versions are those of scripts/generate/protos/go.mod. */
const modules: readonly (readonly [module: string, version: string, folders: string])[] = [
  ["github.com/envoyproxy/go-control-plane/envoy", "v1.40.0", "**"],
  ["github.com/envoyproxy/go-control-plane/contrib", "v1.36.1-0.20260729145720-a2d8c7492908", "**"],
  ["github.com/cncf/xds/go", "v0.0.0-20260202195803-dba9d589def2", "{xds,udpa}/**"],
  ["istio.io/api", "v1.31.1", "envoy/**"],
  ["cel.dev/expr", "v0.25.2", "."],
  ["google.golang.org/genproto/googleapis/api", "v0.0.0-20260720211330-0afa2a65878a", "expr/**"],
  ["google.golang.org/genproto/googleapis/rpc", "v0.0.0-20260720211330-0afa2a65878a", "status"],
  ["go.opentelemetry.io/proto/otlp", "v1.10.0", "common/**"],
  ["github.com/prometheus/client_model", "v0.6.2", "go"],
];
/** Files that are left out, because only options and services need them. */
const left = [
  "validate/",
  "udpa/annotations/",
  "xds/annotations/",
  "envoy/annotations/",
  "google/api/annotations.proto",
  "google/api/http.proto",
  "google/protobuf/",
  "envoy/service/discovery/",
];
const isLeft = (path: string): boolean => left.some((prefix) => path.startsWith(prefix));

const escapes: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 92,
  '"': 34,
  "'": 39,
};

/** Decodes a Go string constant of several quoted lines. */
function goBytes(source: string): Buffer {
  const parts: Buffer[] = [];
  for (const [, text = ""] of source.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)) {
    for (const [piece] of text.matchAll(/\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|\\[0-7]{3}|\\.|[^\\]+/gi)) {
      if (!piece.startsWith("\\")) parts.push(Buffer.from(piece));
      else if (piece[1] === "x") parts.push(Buffer.from(piece.slice(2), "hex"));
      else if (/^\\[uU]/.test(piece))
        parts.push(Buffer.from(String.fromCodePoint(Number.parseInt(piece.slice(2), 16))));
      else if (/^\\[0-7]{3}/.test(piece)) parts.push(Buffer.from([Number.parseInt(piece.slice(1), 8)]));
      else parts.push(Buffer.from([escapes[piece.slice(1)] ?? 0]));
    }
  }
  return Buffer.concat(parts);
}

function descriptorsOf(text: string): FileDescriptorProto[] {
  const strings = [...text.matchAll(/_rawDesc = "" \+\n((?:\t"[^\n]*"(?: \+)?\n)+)/g)].map(([, constant = ""]) =>
    goBytes(constant),
  );
  const arrays = [...text.matchAll(/_rawDesc = \[\]byte\{([^}]*)\}/g)].map(([, list = ""]) =>
    Buffer.from((list.match(/0x[0-9a-f]{2}/g) ?? []).map(Number)),
  );
  return [...strings, ...arrays].map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

function plainEnum(item: EnumDescriptorProto): void {
  item.options = item.options?.allowAlias === true ? create(EnumOptionsSchema, { allowAlias: true }) : undefined;
  for (const value of item.value) value.options = undefined;
}

/** Removes options that only validators and documentation read. */
function plainMessage(message: DescriptorProto): void {
  message.options = message.options?.mapEntry === true ? create(MessageOptionsSchema, { mapEntry: true }) : undefined;
  message.extension = [];
  for (const field of message.field)
    field.options = field.options?.packed === true ? create(FieldOptionsSchema, { packed: true }) : undefined;
  for (const oneof of message.oneofDecl) oneof.options = undefined;
  message.enumType.forEach(plainEnum);
  message.nestedType.forEach(plainMessage);
}

const files = new Map<string, FileDescriptorProto>();
for (const [module, version, folders] of modules) {
  const folder = moduleFolder(module, version);
  for (const path of globSync(`${folders}/*.pb.go`, { cwd: folder })) {
    // Envoy does not accept API v2 any more. The packages of Istio with the same names are Istio's own.
    if (module.startsWith("github.com/envoyproxy/") && /(^|\/)(v2(alpha\d*)?|v1)\//.test(path)) continue;
    for (const file of descriptorsOf(readFileSync(join(folder, path), "utf8")))
      if (!isLeft(file.name)) files.set(file.name, file);
  }
}
/** Imported files that no module contains. Only services import them, and the output has no services. */
const missing = new Set<string>();
for (const file of files.values()) {
  file.service = [];
  file.extension = [];
  file.options = undefined;
  file.sourceCodeInfo = undefined;
  file.publicDependency = [];
  file.weakDependency = [];
  file.dependency = file.dependency.filter((path) => {
    if (!files.has(path) && !isLeft(path)) missing.add(path);
    return path.startsWith("google/protobuf/") ? path !== "google/protobuf/descriptor.proto" : files.has(path);
  });
  file.enumType.forEach(plainEnum);
  file.messageType.forEach(plainMessage);
}

const sorted = [...files.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
const descriptors = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: sorted }));
const names: Record<string, string[]> = {};
for (const file of sorted) (names[file.package] ??= []).push(...file.messageType.map(({ name }) => name));
const packed = brotliCompressSync(descriptors, {
  params: {
    [constants.BROTLI_PARAM_SIZE_HINT]: descriptors.length,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
  },
});
mkdirSync(target, { recursive: true });
writeFileSync(join(target, "types.binpb.br"), packed);
const lines = Object.entries(names).sort(([one], [other]) => (one < other ? -1 : 1));
writeFileSync(
  join(target, "type-names.json"),
  `{\n${lines.map(([name, types]) => `${JSON.stringify(name)}: ${JSON.stringify(types.toSorted().join(" "))}`).join(",\n")}\n}\n`,
);
console.log(
  `${files.size} files, ${descriptors.length} bytes, ${packed.length} compressed; imported and missing: ${[...missing].join(", ") || "none"}`,
);
