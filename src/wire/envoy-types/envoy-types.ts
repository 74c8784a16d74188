import { createFileRegistry, fromBinary, type DescFile, type DescMessage, type Registry } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import {
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

interface Entry {
  readonly bytes: Uint8Array;
  readonly package: string;
}

/** Descriptors that the protobuf runtime brings along. */
const known: readonly DescFile[] = [
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
];

/**
 * The types of a `google.protobuf.FileDescriptorSet`. A file is parsed when somebody first asks for one of its types. A
 * mesh uses about fifty of a thousand files, and parsing them all would take 100 MB.
 */
export class EnvoyTypes {
  /** Finds types for JSON, and for the content of `google.protobuf.Any`. */
  readonly registry: Registry;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #files = new Map<string, DescFile>();
  readonly #byPackage = new Map<string, string[]>();
  readonly #messages = new Map<string, DescMessage>();

  constructor(fileDescriptorSet: Uint8Array) {
    this.#entries = entriesOf(fileDescriptorSet);
    for (const [name, entry] of this.#entries) {
      const names = this.#byPackage.get(entry.package);
      if (names === undefined) this.#byPackage.set(entry.package, [name]);
      else names.push(name);
    }
    for (const file of known) {
      this.#files.set(`${file.name}.proto`, file);
      this.#remember(file.messages);
    }
    this.registry = {
      kind: "registry",
      [Symbol.iterator]: () => this.#messages.values(),
      get: (name) => this.message(name),
      getMessage: (name) => this.message(name),
      getEnum: () => undefined,
      getExtension: () => undefined,
      getExtensionFor: () => undefined,
      getService: () => undefined,
    };
  }

  /** The type with this full name. Undefined if Envoy's API does not have it. */
  message(typeName: string): DescMessage | undefined {
    const found = this.#messages.get(typeName);
    if (found !== undefined) return found;
    for (let dot = typeName.lastIndexOf("."); dot > 0; dot = typeName.lastIndexOf(".", dot - 1)) {
      for (const file of this.#byPackage.get(typeName.slice(0, dot)) ?? []) this.#load(file);
      const loaded = this.#messages.get(typeName);
      if (loaded !== undefined) return loaded;
    }
    return undefined;
  }

  /** Like {@link message}, but throws an error if there is no such type. */
  mustHave(typeName: string): DescMessage {
    const found = this.message(typeName);
    if (found === undefined) throw new Error(`no descriptor of ${typeName}`);
    return found;
  }

  #load(name: string): DescFile | undefined {
    const loaded = this.#files.get(name);
    if (loaded !== undefined) return loaded;
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    const proto = fromBinary(FileDescriptorProtoSchema, entry.bytes);
    for (const dependency of proto.dependency) this.#load(dependency);
    const file = createFileRegistry(proto, (dependency) => this.#files.get(dependency)).getFile(name);
    if (file === undefined) return undefined;
    this.#files.set(name, file);
    this.#remember(file.messages);
    return file;
  }

  #remember(messages: readonly DescMessage[]): void {
    for (const message of messages) {
      this.#messages.set(message.typeName, message);
      this.#remember(message.nestedMessages);
    }
  }
}

/** Reads only the name and the package of each file, which is fast. */
function entriesOf(fileDescriptorSet: Uint8Array): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  const reader = new BinaryReader(fileDescriptorSet);
  while (reader.pos < reader.len) {
    reader.tag();
    const bytes = reader.bytes();
    const [name, fullPackage] = headOf(bytes);
    entries.set(name, { bytes, package: fullPackage });
  }
  return entries;
}

/** Reads fields 1 and 2 of a FileDescriptorProto. Every serializer writes them before all others. */
function headOf(bytes: Uint8Array): readonly [name: string, fullPackage: string] {
  const reader = new BinaryReader(bytes);
  const head = ["", "", ""];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field > 2 || wireType !== WireType.LengthDelimited) break;
    head[field] = reader.string();
  }
  return [head[1] ?? "", head[2] ?? ""];
}
