import { SerinError } from "../../../src/base/index.ts";
import { parseYaml } from "../../../src/cluster/apiserver/body.ts";
import { ApiError } from "../../../src/cluster/apiserver/status.ts";
import { yamlBoundsFault } from "../../../src/base/yaml-bounds/index.ts";
import { objectsInManifest } from "../../../src/kube/manifest.ts";
import { expectRefusal, type FuzzTarget } from "../target.ts";

export const target: FuzzTarget = {
  title: "YAML of manifests and request bodies",
  seeds: [
    "apiVersion: v1\nkind: Pod\nmetadata: { name: a, labels: {x: 'y'} }\nspec:\n  - a: |\n      text\n    b: >-\n      more\n",
    "a: &x [1, 2.5e3, 0x1f, 0o17, 1_000, yes, ~, .inf, 2020-01-01]\nb: *x\nc: {<<: {d: 1}}\n",
    "---\na: 1\n---\n# comment\n? [k]\n: !!str 5\n...\n%YAML 1.1\n---\n!!set {a, b}\n",
    '{"a": [1, {"b": null}]}',
    "a: !!binary aGVsbG8=\nb: !!omap [x: 1]\nc: !!merge x\n'd': \"\\u00e9\\x41\\\n  e\"\n",
  ],
  words: ["<<: *x", "&x ", "*x", "!!", "- - - ", "? ", "---\n", "!!timestamp ", "!!pairs "],
  maxBytes: 1024,
  run: async (input) => {
    const text = input.toString("utf8");
    yamlBoundsFault(text);
    try {
      await parseYaml(text);
    } catch (error) {
      expectRefusal(error, ApiError);
    }
    try {
      for await (const object of objectsInManifest(text)) void object.kind;
    } catch (error) {
      expectRefusal(error, SerinError);
    }
  },
};
