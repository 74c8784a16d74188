import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { DeltaDiscoveryRequestSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { AcknowledgementReader } from "./acknowledgement-reader.ts";

const reader = new AcknowledgementReader();

function encoded(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Buffer {
  return Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
}

test("an acknowledgement is read as the full decoder reads it", () => {
  for (const typeUrl of Object.values(typeUrls)) {
    const bytes = encoded({ typeUrl, responseNonce: "17-204" });
    const { typeUrl: type, responseNonce: nonce } = fromBinary(DeltaDiscoveryRequestSchema, bytes);
    assert.deepEqual(reader.read(bytes), { typeUrl: type, nonce });
  }
});

test("a request with more than a type and a nonce is left to the full decoder", () => {
  const acknowledgement = { typeUrl: typeUrls.endpoint, responseNonce: "1-1" };
  const more: readonly MessageInitShape<typeof DeltaDiscoveryRequestSchema>[] = [
    { ...acknowledgement, node: { id: "a" } },
    { ...acknowledgement, resourceNamesSubscribe: ["a"] },
    { ...acknowledgement, resourceNamesUnsubscribe: ["a"] },
    { ...acknowledgement, initialResourceVersions: { a: "1" } },
    { ...acknowledgement, errorDetail: { message: "no" } },
    { typeUrl: acknowledgement.typeUrl },
    { responseNonce: acknowledgement.responseNonce },
    { ...acknowledgement, typeUrl: "a".repeat(200) },
    { ...acknowledgement, responseNonce: "ä" },
    {},
  ];
  for (const request of more) assert.equal(reader.read(encoded(request)), undefined, JSON.stringify(request));
});

test("truncated or arbitrary bytes are left to the full decoder", () => {
  const request = encoded({ typeUrl: typeUrls.cluster, responseNonce: "3-9" });
  const nonceBytes = 5;
  for (let length = 0; length < request.length; length += 1)
    assert.equal(reader.read(request.subarray(0, length)), undefined, `${length}`);
  assert.equal(reader.read(request.subarray(request.length - nonceBytes)), undefined);
  for (let byte = 0; byte < 256; byte += 1)
    assert.equal(reader.read(Buffer.concat([request, Buffer.from([byte])])), undefined, `${byte}`);
});

/** Fields that occur twice, are empty, have a longer tag or length than necessary, or have another wire type. */
const corpus = [
  "1201613201623200",
  "120161320162120163",
  "12003201621201613201",
  "92000161320162",
  "128100613201621201",
  "10013201621201",
  "1a00120161320162",
  "3a001201613201",
  "12017f320162",
];

test("every message that is read as an acknowledgement is the same acknowledgement to the full decoder", () => {
  const check = (bytes: Uint8Array): void => {
    const found = reader.read(bytes);
    if (found === undefined) return;
    const expected = create(DeltaDiscoveryRequestSchema, { typeUrl: found.typeUrl, responseNonce: found.nonce });
    assert.deepEqual(fromBinary(DeltaDiscoveryRequestSchema, bytes), expected);
  };
  for (const hex of corpus) check(Buffer.from(hex, "hex"));
  const tag = fc.constantFrom(0x12, 0x32, 0x1a, 0x0a, 0x22, 0x3a, 0x92, 0x10);
  const field = fc
    .tuple(tag, fc.uint8Array({ maxLength: 6 }))
    .map(([first, bytes]) => Buffer.from([first, bytes.length, ...bytes.map((byte) => byte & 0x7f)]));
  fc.assert(
    fc.property(fc.array(field, { maxLength: 4 }), fc.uint8Array({ maxLength: 2 }), (fields, rest) =>
      check(Buffer.concat([...fields, rest])),
    ),
    { numRuns: 1000 },
  );
});
