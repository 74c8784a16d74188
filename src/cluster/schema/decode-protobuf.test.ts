import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BuiltInShapes } from "./built-in-shapes.ts";
import { SchemaFault } from "./contract.ts";
import { ProtobufDecoder } from "./decode-protobuf.ts";

interface Recorded {
  readonly body: string;
  readonly object: { readonly kind: string; readonly metadata: { readonly name?: string } };
}

const decoder = new ProtobufDecoder(BuiltInShapes.load());
/** Recorded request bodies of kubectl 1.32, and the objects that they encode. */
const recorded = JSON.parse(
  readFileSync(new URL("testdata/protobuf-bodies.json", import.meta.url), "utf8"),
) as Recorded[];

test("bodies recorded from kubectl decode to their objects", () => {
  assert.ok(recorded.length >= 20);
  for (const { body, object } of recorded)
    assert.deepEqual(decoder.decode(Buffer.from(body, "base64")), object, object.kind);
});

test("a pointer to zero stays zero, and an absent number stays absent", () => {
  const byName = (name: string): { spec?: Record<string, unknown> } =>
    recorded.find(({ object }) => object.metadata.name === name)?.object as never;
  assert.equal(byName("d1").spec?.replicas, 0);
  assert.equal(byName("p1").spec?.minAvailable, 0);
  assert.equal("minReadySeconds" in (byName("d1").spec ?? {}), false);
});

test("an int-or-string keeps its kind", () => {
  const spec = recorded.find(({ object }) => object.metadata.name === "p2")?.object as unknown as {
    spec: { minAvailable: unknown };
  };
  assert.equal(spec.spec.minAvailable, "50%");
});

test("bytes that are not a protobuf body are refused with 400, and unknown kinds with 415", () => {
  assert.throws(
    () => decoder.decode(Buffer.from("{}")),
    (error: unknown) => error instanceof SchemaFault && error.status === 400,
  );
  const [first] = recorded;
  const cut = Buffer.from(first?.body ?? "", "base64").subarray(0, 9);
  assert.throws(
    () => decoder.decode(cut),
    (error: unknown) => error instanceof SchemaFault && error.status === 400,
  );
  const unknown = Buffer.concat([
    Buffer.from("k8s\0"),
    Buffer.from([0x0a, 0x0b, 0x0a, 2, 0x76, 0x31, 0x12, 5]),
    Buffer.from("Thing"),
  ]);
  assert.throws(
    () => decoder.decode(unknown),
    (error: unknown) => error instanceof SchemaFault && error.status === 415,
  );
});
