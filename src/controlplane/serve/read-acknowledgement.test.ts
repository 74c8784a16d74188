import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { readAcknowledgement } from "./read-acknowledgement.ts";

function encoded(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Buffer {
  return Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
}

test("an acknowledgement is read as the whole decoder reads it", () => {
  for (const typeUrl of Object.values(typeUrls)) {
    const bytes = encoded({ typeUrl, responseNonce: "17-204" });
    const { typeUrl: type, responseNonce: nonce } = fromBinary(DeltaDiscoveryRequestSchema, bytes);
    assert.deepEqual(readAcknowledgement(bytes), { typeUrl: type, nonce });
  }
});

test("what says anything more than a type and a nonce is left to the whole decoder", () => {
  const said = { typeUrl: typeUrls.endpoint, responseNonce: "1-1" };
  const more: readonly MessageInitShape<typeof DeltaDiscoveryRequestSchema>[] = [
    { ...said, node: { id: "a" } },
    { ...said, resourceNamesSubscribe: ["a"] },
    { ...said, resourceNamesUnsubscribe: ["a"] },
    { ...said, initialResourceVersions: { a: "1" } },
    { ...said, errorDetail: { message: "no" } },
    { typeUrl: said.typeUrl },
    { responseNonce: said.responseNonce },
    { ...said, typeUrl: "a".repeat(200) },
    { ...said, responseNonce: "ä" },
    {},
  ];
  for (const request of more) assert.equal(readAcknowledgement(encoded(request)), undefined, JSON.stringify(request));
});

test("bytes that are cut off or no message at all are left to the whole decoder, whatever they are", () => {
  const whole = encoded({ typeUrl: typeUrls.cluster, responseNonce: "3-9" });
  const nonceBytes = 5;
  for (let length = 0; length < whole.length; length += 1) assert.equal(readAcknowledgement(whole.subarray(0, length)), undefined, `${length}`);
  assert.equal(readAcknowledgement(whole.subarray(whole.length - nonceBytes)), undefined);
  for (let byte = 0; byte < 256; byte += 1) assert.equal(readAcknowledgement(Buffer.concat([whole, Buffer.from([byte])])), undefined, `${byte}`);
});
