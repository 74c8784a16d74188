import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary, type DescFile } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  file_google_protobuf_any,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { file_envoy_config_core_v3_base } from "#generated/proto/envoy/config/core/v3/base_pb.js";
import { file_envoy_config_core_v3_extension } from "#generated/proto/envoy/config/core/v3/extension_pb.js";
import { fileDesc } from "#generated/proto/file-description.js";
import { withOwnFileDescription } from "./own-file-description.ts";

/** A file with one message, which has one field for each of the named messages. */
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

test("a generated module imports our function, and the library's others", () => {
  const line = 'import { fileDesc, messageDesc } from "@bufbuild/protobuf/codegenv2";\n';
  assert.equal(
    withOwnFileDescription("a/b/c_pb.js", line),
    'import { messageDesc } from "@bufbuild/protobuf/codegenv2";\nimport { fileDesc } from "../../file-description.js";\n',
  );
  assert.equal(
    withOwnFileDescription("c_pb.js", 'import { fileDesc } from "@bufbuild/protobuf/codegenv2";\n'),
    'import { fileDesc } from "./file-description.js";\n',
  );
});

test("the function among the generated modules is the generator's own file", () => {
  const { dirname } = import.meta;
  const read = (folder: string): string => readFileSync(join(folder, "file-description.js"), "utf8");
  assert.equal(read(join(dirname, "../../generated/proto")), read(dirname));
});
