import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary, type DescFile, type MessageInitShape } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  file_google_protobuf_any,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { file_envoy_config_core_v3_base } from "#generated/proto/envoy/config/core/v3/base_pb.js";
import { file_envoy_config_core_v3_extension } from "#generated/proto/envoy/config/core/v3/extension_pb.js";
import { fileDesc, type FileNames } from "#generated/proto/file-description.js";
import { withOwnFileDescription } from "./own-file-description.ts";

/** Returns a file with one message, which has one field for each of the named messages. */
function described(name: string, imports: readonly DescFile[], fieldTypes: readonly string[]): DescFile {
  const field = fieldTypes.map((typeName, index) => ({
    name: `field${index}`,
    number: index + 1,
    label: FieldDescriptorProto_Label.OPTIONAL,
    type: FieldDescriptorProto_Type.MESSAGE,
    typeName: `.${typeName}`,
  }));
  const proto = create(FileDescriptorProtoSchema, {
    name: `${name}.proto`,
    syntax: "proto3",
    messageType: [{ name, field }],
  });
  return fileDesc(Buffer.from(toBinary(FileDescriptorProtoSchema, proto)).toString("base64"), imports);
}

test("a file's imports and the types of its fields are those of the imported files themselves", () => {
  assert.ok(file_envoy_config_core_v3_extension.dependencies.includes(file_google_protobuf_any));
  const first = described("First", [file_google_protobuf_any], []);
  const second = described("Second", [first, file_envoy_config_core_v3_base], ["First"]);
  assert.equal(second.dependencies[0], first);
  assert.equal(second.dependencies[1], file_envoy_config_core_v3_base);
  assert.equal(second.messages[0]?.fields[0]?.message, first.messages[0]);
  assert.deepEqual(first.dependencies, [file_google_protobuf_any]);
});

test("a file is described without a walk along every path of imports", () => {
  let [left, right] = [described("L0", [], []), described("R0", [], [])];
  // 2^60 paths lead from the last file to the first ones.
  for (let layer = 1; layer <= 60; layer += 1)
    [left, right] = [
      described(`L${layer}`, [left, right], [`L${layer - 1}`, `R${layer - 1}`]),
      described(`R${layer}`, [left, right], [`L${layer - 1}`]),
    ];
  assert.equal(left.messages[0]?.fields.length, 2);
});

test("a file may use a type that one of its imports imports", () => {
  const first = described("First", [], []);
  const second = described("Second", [first], []);
  const third = described("Third", [second], ["First"]);
  assert.equal(third.messages[0]?.fields[0]?.message, first.messages[0]);
  assert.deepEqual(third.dependencies, [second]);
});

const kinds = [
  { name: "KIND_UNKNOWN", number: 0 },
  { name: "KIND_OTHER", number: 1 },
];
const modes = [
  { name: "OFF", number: 0 },
  { name: "ON", number: 3 },
];

/** Returns a file with a message that has a map, a message and an enumeration, and with an enumeration of its own. */
function generatedProto(more: MessageInitShape<typeof FileDescriptorProtoSchema> = {}): string {
  const proto = create(FileDescriptorProtoSchema, {
    name: "a/b/c.proto",
    package: "a.b",
    syntax: "proto3",
    messageType: [
      {
        name: "Outer",
        nestedType: [
          { name: "LabelsEntry", options: { mapEntry: true } },
          { name: "Inner", enumType: [{ name: "Kind", value: kinds }] },
        ],
      },
    ],
    enumType: [{ name: "Mode", value: modes }],
    ...more,
  });
  return Buffer.from(toBinary(FileDescriptorProtoSchema, proto)).toString("base64");
}

test("a generated module imports our function, and those of the library's others that it calls", () => {
  const after = ` } from "@bufbuild/protobuf/codegenv2";\nfileDesc("${generatedProto()}");`;
  const imports = (name: string, list: string): string =>
    withOwnFileDescription(name, `import { ${list}${after}`).split("fileDesc(")[0] ?? "";
  assert.equal(
    imports("a/b/c_pb.js", "fileDesc, messageDesc, tsEnum"),
    'import { messageDesc } from "@bufbuild/protobuf/codegenv2";\nimport { fileDesc } from "../../file-description.js";\n',
  );
  assert.equal(imports("c_pb.js", "fileDesc"), 'import { fileDesc } from "./file-description.js";\n');
});

test("a generated module has the names of its file's types and the values of its enumerations", () => {
  const kind = "export const Outer_Inner_Kind";
  const generated = [
    `fileDesc("${generatedProto()}", [file_d]);`,
    `${kind}Schema = /*@__PURE__*/\n  enumDesc(file_c, 0, 0, 0);`,
    `${kind} = /*@__PURE__*/\n  tsEnum(Outer_Inner_KindSchema);`,
    "export const ModeSchema = /*@__PURE__*/\n  enumDesc(file_c, 0);",
    "export const Mode = /*@__PURE__*/\n  tsEnum(ModeSchema);",
  ].join("\n");
  const names = {
    name: "a/b/c",
    package: "a.b",
    messages: [["Outer", [["Inner", [], ["Kind"]]]]],
    enums: ["Mode"],
  };
  const lines = withOwnFileDescription("a/b/c_pb.js", generated).split("\n");
  assert.equal(lines[0], `fileDesc("${generatedProto()}", [file_d], ${JSON.stringify(names)});`);
  assert.equal(lines[3], `${kind} = {"0":"UNKNOWN","1":"OTHER","UNKNOWN":0,"OTHER":1};`);
  assert.equal(lines[6], 'export const Mode = {"0":"OFF","3":"ON","OFF":0,"ON":3};');
});

test("a generated module whose file has services or extensions describes its file at once", () => {
  for (const proto of [
    generatedProto({ service: [{ name: "Discovery" }] }),
    generatedProto({ extension: [{ name: "more", number: 1000, extendee: ".a.b.Outer" }] }),
  ])
    assert.equal(withOwnFileDescription("c_pb.js", `fileDesc("${proto}");`), `fileDesc("${proto}", []);`);
});

test("a file with the names of its types is described only when more than these names is used", () => {
  const names: FileNames = { name: "a/b/c", package: "a.b", messages: [["Outer", [["Inner", [], ["Kind"]]]]] };
  const imported = fileDesc("this is not a description", [], names);
  assert.deepEqual(
    [...nestedTypes(imported)].map((type) => type.toString()),
    ["message a.b.Outer", "message a.b.Outer.Inner", "enum a.b.Outer.Inner.Kind"],
  );
  const user = described("User", [imported], ["a.b.Outer.Inner"]);
  assert.equal(user.messages[0]?.fields[0]?.message, imported.messages[0]?.nestedMessages[0]);
  assert.throws(() => imported.messages[0]?.fields);
});

test("a file that is described later has the same types as one that is described at once", () => {
  const generated = withOwnFileDescription("c_pb.js", `fileDesc("${generatedProto()}");`);
  const names = JSON.parse(/\{.*\}/.exec(generated)?.[0] ?? "") as FileNames;
  const atOnce = fileDesc(generatedProto());
  const later = fileDesc(generatedProto(), [], names);
  const seen = (file: DescFile): readonly string[] =>
    [file, ...nestedTypes(file)].map((type) => {
      if (type.kind === "file") return [type.name, type.edition, type.deprecated, type.proto.name].join(" ");
      if (type.kind === "enum") return [type, type.open, type.sharedPrefix, Object.keys(type.value)].join(" ");
      assert.ok(type.kind === "message");
      return [type, type.proto.name, type.deprecated, type.fields.length, type.members.length].join(" ");
    });
  assert.deepEqual(seen(later), seen(atOnce));
  for (const [index, type] of [later, ...nestedTypes(later)].entries())
    for (const property of Object.keys([atOnce, ...nestedTypes(atOnce)][index] ?? {})) assert.ok(property in type);
});

test("the function among the generated modules is the generator's own file", () => {
  const { dirname } = import.meta;
  const read = (folder: string): string => readFileSync(join(folder, "file-description.js"), "utf8");
  assert.equal(read(join(dirname, "../../../generated/proto")), read(dirname));
});
