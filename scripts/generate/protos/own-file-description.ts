import { dirname, relative } from "node:path";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { tsEnum } from "@bufbuild/protobuf/codegenv2";
import {
  FileDescriptorProtoSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import type { FileNames, MessageNames } from "./file-description.js";

/** The module beside this one that the generator copies to the generated files. */
export const fileDescriptionModule = "file-description";

const libraryImport = /^import \{ ([^}]*) \} from "@bufbuild\/protobuf\/codegenv2";$/m;
const description = /\bfileDesc\("([^"]*)"(?:, (\[[^\]]*\]))?\);/;
const enumObject = /\/\*@__PURE__\*\/\s+tsEnum\((\w+)Schema\);/g;
const enumSchema = /export const (\w+)Schema = \/\*@__PURE__\*\/\s+enumDesc\(\w+((?:, \d+)+)\);/g;
/** Functions of the library that the generated modules do not call any more. */
const unused = new Set(["fileDesc", "tsEnum"]);

/**
 * Makes a generated module describe its file by our function, on first use. So the module also contains the names of
 * its types and the values of its enumerations. `name` is the module's path below the generated files.
 */
export function withOwnFileDescription(name: string, content: string): string {
  const found = description.exec(content);
  if (found === null) return content;
  const [, text = "", imports = "[]"] = found;
  const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(text, "base64"));
  const directory = relative(dirname(name), ".");
  const ours = `import { fileDesc } from "${directory === "" ? "." : directory}/${fileDescriptionModule}.js";`;
  const enums = new Map(
    [...content.matchAll(enumSchema)].map(([, type = "", path = ""]) => [type, enumAt(file, path)] as const),
  );
  // A file with services or extensions is described at once, by the library.
  const hasOthers = file.service.length > 0 || file.extension.length > 0 || file.messageType.some(hasExtensions);
  const described = hasOthers ? "" : `, ${JSON.stringify(namesOf(file))}`;
  return content
    .replace(libraryImport, (_, list: string) => {
      const others = list.split(", ").filter((one) => !unused.has(one));
      return others.length === 0
        ? ours
        : `import { ${others.join(", ")} } from "@bufbuild/protobuf/codegenv2";\n${ours}`;
    })
    .replace(description, () => `fileDesc("${text}", ${imports}${described});`)
    .replace(enumObject, (_, type: string) => `${JSON.stringify(valuesOf(file, enums.get(type)))};`);
}

/** Finds an enumeration by its path: the index of each enclosing message, and then its own index. */
function enumAt(file: FileDescriptorProto, path: string): EnumDescriptorProto | undefined {
  const indexes = path.split(", ").slice(1).map(Number);
  let parent: FileDescriptorProto | DescriptorProto | undefined = file;
  for (const index of indexes.slice(0, -1)) parent = messagesOf(parent)[index];
  return parent?.enumType[indexes.at(-1) ?? 0];
}

function valuesOf(file: FileDescriptorProto, type: EnumDescriptorProto | undefined): Readonly<Record<string, unknown>> {
  const { name, syntax, edition } = file;
  const alone = create(FileDescriptorProtoSchema, {
    name,
    syntax,
    edition,
    enumType: type === undefined ? [] : [type],
  });
  const described = createFileRegistry(alone, () => undefined).getFile(name)?.enums[0];
  if (described === undefined) throw new Error(`${name}: a generated enumeration is not in its file`);
  return tsEnum(described);
}

/** Returns the messages that have an index in the library. These are all except the entries of maps. */
function messagesOf(parent: FileDescriptorProto | DescriptorProto | undefined): readonly DescriptorProto[] {
  if (parent === undefined) return [];
  return "messageType" in parent ? parent.messageType : parent.nestedType.filter((type) => !isMapEntry(type));
}

function isMapEntry(message: DescriptorProto): boolean {
  return message.options?.mapEntry === true;
}

function hasExtensions(message: DescriptorProto): boolean {
  return message.extension.length > 0 || message.nestedType.some(hasExtensions);
}

function namesOf(file: FileDescriptorProto): FileNames {
  const enums = file.enumType.map(({ name }) => name);
  return {
    name: file.name.replace(/\.proto$/, ""),
    package: file.package,
    ...(file.messageType.length === 0 ? {} : { messages: file.messageType.map(namesOfMessage) }),
    ...(enums.length === 0 ? {} : { enums }),
  };
}

function namesOfMessage(message: DescriptorProto): MessageNames {
  const messages = messagesOf(message).map(namesOfMessage);
  const enums = message.enumType.map(({ name }) => name);
  if (enums.length > 0) return [message.name, messages, enums];
  return messages.length > 0 ? [message.name, messages] : [message.name];
}
