import assert from "node:assert/strict";
import { test } from "node:test";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { metadataExcerpt, pickExcerpt, readExcerptList, readStatus, type Excerpt } from "./excerpt.ts";

const excerpt: Excerpt = {
  metadata: { number: 1, holds: metadataExcerpt },
  spec: {
    number: 2,
    holds: {
      ports: { number: 4, repeated: true, holds: { port: { number: 3, holds: "whole number" } } },
      args: { number: 5, repeated: true, holds: "text" },
      host: { number: 11, holds: "flag" },
    },
  },
};

type Write = (writer: BinaryWriter) => BinaryWriter;
const bytes =
  (number: number, write: Write): Write =>
  (writer) =>
    writer.tag(number, WireType.LengthDelimited).bytes(write(new BinaryWriter()).finish());
const text =
  (number: number, value: string): Write =>
  (writer) =>
    writer.tag(number, WireType.LengthDelimited).string(value);
const whole =
  (number: number, value: number): Write =>
  (writer) =>
    writer.tag(number, WireType.Varint).uint64(value);
const all =
  (...writes: readonly Write[]): Write =>
  (writer) =>
    writes.reduce((sum, write) => write(sum), writer);
const pair = (number: number, key: string, value: string): Write => bytes(number, all(text(1, key), text(2, value)));
const enveloped = (write: Write): Buffer =>
  Buffer.concat([
    Buffer.from("k8s\0"),
    all(
      bytes(1, all(text(1, "v1"), text(2, "ThingList"))),
      bytes(2, write),
      text(3, ""),
      text(4, ""),
    )(new BinaryWriter()).finish(),
  ]);

const metadata = all(
  text(1, "web"),
  text(2, ""),
  text(3, "shop"),
  text(5, "u-1"),
  text(6, "17"),
  whole(7, 3),
  bytes(8, whole(1, 1_700_000_000)),
  bytes(9, all(whole(1, 1_767_225_600), whole(2, 0))),
  pair(11, "app", "web"),
  pair(11, "grüße", "schön"),
  pair(12, "empty", ""),
  pair(12, "long", "x".repeat(500)),
  bytes(
    13,
    all(text(1, "ReplicaSet"), text(3, "web-5d8f"), text(4, "u-2"), text(5, "apps/v1"), whole(6, 1), whole(7, 1)),
  ),
  bytes(17, text(1, "kubelet")),
);
const spec = all(
  bytes(4, whole(3, 8080)),
  bytes(4, whole(3, 90_000_000_000)),
  text(5, ""),
  text(5, "run"),
  whole(11, 1),
  (writer) => writer.tag(12, WireType.Bit64).fixed64(1),
  (writer) => writer.tag(13, WireType.Bit32).fixed32(1),
);
const object = {
  metadata: {
    name: "web",
    namespace: "shop",
    uid: "u-1",
    resourceVersion: "17",
    deletionTimestamp: "2026-01-01T00:00:00Z",
    labels: { app: "web", grüße: "schön" },
    annotations: { empty: "", long: "x".repeat(500) },
    ownerReferences: [{ kind: "ReplicaSet", name: "web-5d8f", uid: "u-2", apiVersion: "apps/v1", controller: true }],
  },
  spec: { ports: [{ port: 8080 }, { port: 90_000_000_000 }], args: ["", "run"], host: true },
};

test("the binary form of an object gives the same excerpt as JSON, and other fields are skipped", () => {
  const page = readExcerptList(
    excerpt,
    enveloped(
      all(
        bytes(1, all(text(1, ""), text(2, "99"), text(3, "token"), whole(4, 12))),
        bytes(2, all(bytes(1, metadata), bytes(2, spec))),
        bytes(2, bytes(1, text(1, "other"))),
      ),
    ),
  );
  assert.deepEqual([page.resourceVersion, page.next], ["99", "token"]);
  assert.deepEqual(page.items(), [object, { metadata: { name: "other" } }]);
  const json = {
    apiVersion: "v1",
    kind: "Thing",
    ...object,
    metadata: { ...object.metadata, generation: 3, managedFields: [] },
    spec: { ...object.spec, more: 1 },
    status: {},
  };
  assert.deepEqual(pickExcerpt(excerpt, json), { apiVersion: "v1", kind: "Thing", ...object });
});

test("a text is never confused with another whose characters are its bytes", () => {
  const name = (value: string): Write => bytes(2, bytes(1, text(1, value)));
  // The reader's table of known texts has a thousand entries, so some of these names share an entry.
  const names = Array.from(
    { length: 5000 },
    (_, index) => String.fromCodePoint(0xc3, 0x80 + (index % 64), 0x61 + (index % 26)) + String(index % 7),
  ).flatMap((value) => [value, Buffer.from(value, "latin1").toString("utf8")]);
  const read = readExcerptList(excerpt, enveloped(all(bytes(1, text(2, "1")), ...names.map(name)))).items();
  assert.deepEqual(
    read.map((item) => (item["metadata"] as { name: string }).name),
    names,
  );
});

test("a refusal has its reason and code, and bytes that are not a message are refused", () => {
  assert.deepEqual(
    readStatus(enveloped(all(text(2, "Failure"), text(3, "too old"), text(4, "Expired"), whole(6, 410)))),
    { kind: "Status", message: "too old", reason: "Expired", code: 410 },
  );
  const good = enveloped(all(bytes(1, text(2, "99")), bytes(2, bytes(1, metadata))));
  for (let length = 0; length < good.length - 8; length += 1)
    assert.throws(
      () => readExcerptList(excerpt, good.subarray(0, length)).items(),
      { code: "answer-unreadable" },
      `cut at ${length}`,
    );
  assert.throws(() => readExcerptList(excerpt, Buffer.from('{"items":[]}')), /begin differently/);
  assert.throws(
    () => readExcerptList(excerpt, enveloped(all(bytes(1, text(2, "9")), whole(2, 5)))).items(),
    /where bytes were expected/,
  );
  assert.throws(
    () =>
      readExcerptList(
        { metadata: { number: 1, holds: "flag" } },
        enveloped(all(bytes(1, text(2, "9")), bytes(2, text(1, "yes")))),
      ).items(),
    /where a number was expected/,
  );
});
