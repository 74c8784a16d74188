import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../../base/testing/index.ts";
import type { JsonObject } from "../json.ts";
import { RuleValidator } from "./rule-validator.ts";
import type { StructuralSchema } from "./structural-schema.ts";

const list = (length: number): number[] => Array.from({ length }, (_, index) => index);
const object = (length: number): JsonObject => ({ l: list(length), t: "ab".repeat(length) });

function schemaOf(...rules: readonly string[]): StructuralSchema {
  return {
    type: "object",
    properties: { l: { type: "array", items: { type: "integer" } }, t: { type: "string" } },
    "x-kubernetes-validations": rules.map((rule) => ({ rule })),
  };
}

const messagesOf = (schema: StructuralSchema, value: JsonObject, now?: () => number): readonly string[] =>
  new RuleValidator(schema, now).validate(value, undefined).map(({ message }) => message);

test("the time of a rule grows at most linearly with the length of lists and texts", () => {
  for (const rule of [
    "self.l.all(x, self.l.exists(y, y == x))",
    "self.l.isSorted() && self.l.sum() >= 0 && self.l.max() >= 0 && self.l.indexOf(-1) < 0",
    "self.l.all(x, self.l.indexOf(x) == self.l.lastIndexOf(x))",
    "sets.contains(self.l, self.l) && sets.equivalent(self.l, self.l) && sets.intersects(self.l, [0])",
    "self.t.find('[ab]+').size() > 0 && self.t.findAll('a').size() > 0",
    "self.t.replace('a', 'cc').size() > 0 && self.t.replace('', 'c').size() > 0",
    "self.t.replace('a', self.t) != ''",
    "self.t.replace('a', 'c', 100000000) != ''",
  ]) {
    const validator = new RuleValidator(schemaOf(rule));
    assert.equal(
      suspicion((value: JsonObject) => validator.validate(value, undefined), object, 4000),
      undefined,
      rule,
    );
  }
});

test("a rule above Kubernetes' cost limit for one call is refused in its words, and no later rule runs", () => {
  const rule = "self.l.all(x, self.l.exists(y, y == x))";
  assert.deepEqual(messagesOf(schemaOf(rule, "self.t == 'c'"), object(100)), [
    "Invalid value: failed rule: self.t == 'c'",
  ]);
  const [message, ...more] = messagesOf(schemaOf(rule, "self.t == 'c'"), object(3000));
  assert.match(
    message ?? "",
    /'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self\.l\.all/,
  );
  assert.deepEqual(more, []);
});

test("all rules of an object, and their messages, share one cost budget and one time limit", () => {
  const spent = /running out of cost budget, no further validation rules will be run/;
  const [rule, ...others] = messagesOf(
    schemaOf(...list(30).map((index) => `self.l.all(x, self.l.exists(y, y == x)) && ${index} >= 0`)),
    object(450),
  );
  assert.match(rule ?? "", spent);
  assert.deepEqual(others, []);
  let now = 0;
  assert.match(messagesOf(schemaOf("true", "self.t != ''"), object(1), () => (now += 1500))[0] ?? "", spent);
});

test("items are compared with the old items of the same keys in linear time", () => {
  const schema = {
    type: "object",
    properties: {
      items: {
        type: "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        items: {
          type: "object",
          properties: { name: { type: "string" }, at: { type: "integer" } },
          "x-kubernetes-validations": [{ rule: "self.at >= oldSelf.at", message: "goes back" }],
        },
      },
    },
  } as StructuralSchema;
  const validator = new RuleValidator(schema);
  const items = (count: number, at: number): JsonObject => ({
    items: list(count).map((index) => ({ name: `n${index}`, at })),
  });
  assert.equal(
    suspicion(
      ([now, before]: readonly [JsonObject, JsonObject]) => validator.validate(now, before),
      (count) => [{ items: (items(count, 2).items as unknown[]).toReversed() }, items(count, 1)] as const,
      8000,
    ),
    undefined,
  );
  const faults = validator.validate(
    {
      items: [
        { name: "b", at: 0 },
        { name: "c", at: 0 },
      ],
    },
    {
      items: [
        { name: "a", at: 1 },
        { name: "b", at: 1 },
      ],
    },
  );
  assert.deepEqual(
    faults.map(({ field, message }) => `${field}: ${message}`),
    ["items[0]: Invalid value: goes back"],
  );
});

test("replace behaves like Go's", () => {
  for (const rule of [
    "'abab'.replace('a', 'x') == 'xbxb'",
    "'abab'.replace('a', 'x', 1) == 'xbab'",
    "'abab'.replace('a', 'x', 0) == 'abab'",
    "'abab'.replace('a', 'x', -1) == 'xbxb'",
    "'abab'.replace('b', '$&') == 'a$&a$&'",
    "'ab'.replace('', '-') == '-a-b-'",
    "'ab'.replace('', '-', 2) == '-a-b'",
    "'aaa'.replace('aa', 'b') == 'ba'",
    "''.replace('a', 'b') == ''",
  ])
    assert.deepEqual(messagesOf(schemaOf(rule), object(1)), [], rule);
});
