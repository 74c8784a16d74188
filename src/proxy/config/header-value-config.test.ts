import assert from "node:assert/strict";
import { test } from "node:test";
import { operatorNames } from "../../base/command-operators/index.ts";
import { maxAddedLength, type MutationContext } from "../routing/header-mutation.ts";
import { ConfigNotes } from "./config-check.ts";
import { compileHeaderValue } from "./header-value-config.ts";

const operands = [
  "",
  "()",
  "(X)",
  "(a:b)",
  "(a?b?c)",
  "(1 +)",
  "(()",
  "(%)",
  "(%E9999f)",
  "(NUMBER,CAMEL_STRING)",
  "( NUMBER)",
  "(number)",
  "(constructor)",
  "(é 😀)",
  `(${"x:".repeat(2000)})`,
];
const lengths = ["", ":0", ":5", `:${"9".repeat(400)}`];

test("no argument or length of an operator that Envoy has makes the proxy refuse a header", () => {
  const notes = new ConfigNotes(() => undefined);
  for (const direction of ["request", "response"] as const)
    for (const name of operatorNames)
      for (const operand of operands)
        for (const length of lengths) {
          const value = `%${name}${operand}${length}%`;
          assert.doesNotThrow(() => compileHeaderValue(value, direction, "test", notes), value.slice(0, 100));
        }
});

test("an operator with an argument that Envoy rejects is empty, with a note", () => {
  const told: string[] = [];
  const value = compileHeaderValue(
    "[%GRPC_STATUS(X)%]",
    "response",
    "test",
    new ConfigNotes((note) => told.push(note)),
  );
  assert.equal(value({} as MutationContext), "[]");
  assert.deepEqual(told, ["test: %GRPC_STATUS(X)% has no effect here"]);
});

test("an operator that Envoy does not have is refused by its name", () => {
  for (const value of ["%NOTHING%", "%NOTHING(X)%", "%GRPC_STATUSES%"])
    assert.throws(
      () => compileHeaderValue(value, "response", "test", new ConfigNotes(() => undefined)),
      /%(NOTHING|NOTHING\(X\)|GRPC_STATUSES)%/,
    );
});

test("a value that repeats a long header of the client ends soon after the length that headers may have", () => {
  const long = "v".repeat(60_000);
  const request = { header: () => long, values: () => [long] };
  const repeated = compileHeaderValue("%REQ(a)%".repeat(2000), "request", "test", new ConfigNotes(() => undefined));
  const { length } = repeated({ request } as unknown as MutationContext);
  assert.ok(length > maxAddedLength && length <= maxAddedLength + long.length, String(length));
});
