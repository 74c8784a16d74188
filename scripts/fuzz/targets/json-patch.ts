import { duplicateFields } from "../../../src/cluster/apiserver/body.ts";
import { SchemaFault } from "../../../src/cluster/schema/contract.ts";
import { applyJsonPatch } from "../../../src/cluster/schema/patch/json-patch.ts";
import { applyMergePatch } from "../../../src/cluster/schema/patch/merge-patch.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

const original = {
  metadata: { name: "a", labels: { x: "y", "a/b~c": "d" } },
  spec: { list: [1, { k: "v" }, [2]], n: 1 },
};
const before = JSON.stringify(original);
const maxResultBytes = 4 << 20;

export const target: FuzzTarget = {
  title: "JSON patches and merge patches",
  seeds: [
    '[{"op":"add","path":"/metadata/labels/z","value":"1"},{"op":"remove","path":"/spec/list/0"}]',
    '[{"op":"test","path":"/spec/n","value":1},{"op":"replace","path":"/spec/list/-1","value":{}}]',
    '[{"op":"copy","from":"/spec","path":"/spec/list/-"},{"op":"move","from":"/metadata","path":"/m"}]',
    '[{"op":"add","path":"","value":{"a":[]}},{"op":"add","path":"/a~1b~0/-","value":null}]',
    '{"metadata":{"labels":{"x":null,"y":"z"}},"spec":{"list":[{"a":1}]}}',
    '{"a":1,"a":{"b":"\\"","b":[{"c":1,"c":2}]}}',
  ],
  words: [
    '{"op":"copy","from":"","path":"/a"}',
    "__proto__",
    "constructor",
    '"/spec/list/-"',
    "/metadata/labels/a~1b~0c",
  ],
  run: (input) => {
    const text = input.toString("utf8");
    let patch: unknown;
    try {
      patch = JSON.parse(text);
    } catch {
      return;
    }
    duplicateFields(text);
    for (const apply of [applyJsonPatch, applyMergePatch]) {
      try {
        const result = JSON.stringify(apply(original, patch)) ?? "";
        expect(result.length < maxResultBytes, "a small patch makes no large object");
      } catch (error) {
        expectRefusal(error, SchemaFault);
      }
    }
    expect(JSON.stringify(original) === before, "a patch leaves the original as it was");
    expect(
      ({} as { x?: unknown }).x === undefined && Object.keys(Object.prototype).length === 0,
      "no prototype changes",
    );
  },
};
