import { fileDesc as describeFile } from "@bufbuild/protobuf/codegenv2";

/** The library's files, each with the view of it that its importers get. */
const withoutImports = new WeakMap();

/** A view of the file that has no imports, and is otherwise the same. */
function alone(file) {
  if (file instanceof LazyFile) return file.view;
  let view = withoutImports.get(file);
  if (view === undefined) {
    view = Object.create(file, { dependencies: { value: [] } });
    withoutImports.set(file, view);
  }
  return view;
}

/**
 * The same as the library's `fileDesc`, in less time. The library visits everything that the imports import, directly
 * or not, once for each path that leads there. A file only uses the types of its own imports, unless one of them
 * imports others publicly.
 */
function describe(text, imports) {
  let file;
  try {
    file = describeFile(text, imports.map(alone));
  } catch {
    return describeFile(text, imports);
  }
  file.dependencies.splice(0, imports.length, ...imports);
  return file;
}

/**
 * A file that knows the names of its types, and describes itself at the first use of anything else. A process uses few
 * of the files that it loads.
 */
class LazyFile {
  kind = "file";
  services = [];
  extensions = [];
  #text;
  #described;

  constructor(text, imports, { name, package: packageName, messages = [], enums = [] }) {
    this.#text = text;
    this.name = name;
    this.dependencies = imports;
    const scope = packageName === "" ? "" : `${packageName}.`;
    this.messages = messages.map((names, index) => new LazyMessage(this, undefined, scope, names, index));
    this.enums = enums.map((type, index) => new LazyEnum(this, undefined, scope, type, index));
    /** The view of this file for its importers, whose files refer to its types. */
    this.view = {
      kind: "file",
      proto: { name: `${name}.proto` },
      dependencies: [],
      messages: this.messages,
      enums: this.enums,
      services: [],
      extensions: [],
    };
  }

  get described() {
    if (this.#described === undefined) {
      this.#described = describe(this.#text, this.dependencies);
      this.#text = undefined;
    }
    return this.#described;
  }

  get proto() {
    return this.described.proto;
  }

  get edition() {
    return this.described.edition;
  }

  get deprecated() {
    return this.described.deprecated;
  }

  toString() {
    return `file ${this.name}.proto`;
  }
}

/** A message of such a file. At first it knows only its name and the names of its types. */
class LazyMessage {
  kind = "message";
  nestedExtensions = [];
  #index;
  #described;

  constructor(file, parent, scope, [name, messages = [], enums = []], index) {
    this.file = file;
    this.parent = parent;
    this.name = name;
    this.typeName = scope + name;
    this.#index = index;
    const inner = `${this.typeName}.`;
    this.nestedMessages = messages.map((names, at) => new LazyMessage(file, this, inner, names, at));
    this.nestedEnums = enums.map((type, at) => new LazyEnum(file, this, inner, type, at));
  }

  get described() {
    return (this.#described ??=
      this.parent === undefined
        ? this.file.described.messages[this.#index]
        : this.parent.described.nestedMessages[this.#index]);
  }

  get proto() {
    return this.described.proto;
  }

  get deprecated() {
    return this.described.deprecated;
  }

  get fields() {
    return this.described.fields;
  }

  get field() {
    return this.described.field;
  }

  get oneofs() {
    return this.described.oneofs;
  }

  get members() {
    return this.described.members;
  }

  toString() {
    return `message ${this.typeName}`;
  }
}

/** An enumeration of such a file. At first it knows only its name. */
class LazyEnum {
  kind = "enum";
  #index;
  #described;

  constructor(file, parent, scope, name, index) {
    this.file = file;
    this.parent = parent;
    this.name = name;
    this.typeName = scope + name;
    this.#index = index;
  }

  get described() {
    return (this.#described ??=
      this.parent === undefined
        ? this.file.described.enums[this.#index]
        : this.parent.described.nestedEnums[this.#index]);
  }

  get proto() {
    return this.described.proto;
  }

  get deprecated() {
    return this.described.deprecated;
  }

  get open() {
    return this.described.open;
  }

  get value() {
    return this.described.value;
  }

  get values() {
    return this.described.values;
  }

  get sharedPrefix() {
    return this.described.sharedPrefix;
  }

  toString() {
    return `enum ${this.typeName}`;
  }
}

/**
 * Describes a file by its FileDescriptorProto in base64, on first use. `names` has the names of its types. Without
 * them, describes the file at once.
 */
export function fileDesc(text, imports = [], names) {
  return names === undefined ? describe(text, imports) : new LazyFile(text, imports, names);
}
