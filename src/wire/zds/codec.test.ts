import assert from "node:assert/strict";
import { test } from "node:test";
import {
  array,
  assert as check,
  boolean,
  constantFrom,
  oneof,
  property,
  record,
  string,
  uint8Array,
  constant,
  integer,
} from "fast-check";
import { SerinError } from "../../base/index.ts";
import {
  decodeZdsHello,
  decodeZdsRequest,
  decodeZdsResponse,
  encodeZdsHello,
  encodeZdsRequest,
  encodeZdsResponse,
} from "./codec.ts";
import { zdsListenerRoles } from "./messages.ts";

const text = string({ unit: "grapheme", maxLength: 40 });
const roles = array(constantFrom(...zdsListenerRoles), { maxLength: 12 });
const workload = record({ name: text, namespace: text, serviceAccount: text });
const request = oneof(
  record({ type: constant("add" as const), uid: text, workload, listeners: roles, handedOver: boolean() }),
  record({ type: constant("keep" as const), uid: text, returnListeners: boolean() }),
  record({ type: constant("delete" as const), uid: text, handedOver: boolean() }),
  constant({ type: "snapshot-sent" as const }),
);
const plain = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value;

test("every request survives encoding and decoding", () => {
  check(
    property(request, (value) => assert.deepEqual(decodeZdsRequest(encodeZdsRequest(value)), plain(value))),
    { numRuns: 300 },
  );
});

test("hello and response survive encoding and decoding", () => {
  const hello = record({ version: integer({ min: 0, max: 9 }), revision: text, acceptsListeners: boolean() });
  check(property(hello, (value) => assert.deepEqual(decodeZdsHello(encodeZdsHello(value)), plain(value))));
  const response = record({ error: text, listeners: roles });
  check(property(response, (value) => assert.deepEqual(decodeZdsResponse(encodeZdsResponse(value)), plain(value))));
});

test("upstream's bytes decode to their meaning", () => {
  assert.deepEqual(decodeZdsHello(Buffer.from("0801", "hex")), { version: 1, revision: "", acceptsListeners: false });
  // add { uid "u1", workload_info { name "a", namespace "b", service_account "c" } }
  const add = Buffer.from("0a0f0a02753112090a01611201621a0163", "hex");
  assert.deepEqual(decodeZdsRequest(add), {
    type: "add",
    uid: "u1",
    workload: { name: "a", namespace: "b", serviceAccount: "c" },
    listeners: [],
    handedOver: false,
  });
  assert.deepEqual(decodeZdsRequest(Buffer.from("120412027531", "hex")), {
    type: "delete",
    uid: "u1",
    handedOver: false,
  });
  assert.deepEqual(decodeZdsRequest(Buffer.from("1a00", "hex")), { type: "snapshot-sent" });
  assert.deepEqual(decodeZdsResponse(Buffer.from("0a00", "hex")), { error: "", listeners: [] });
});

test("any bytes are decoded or refused with a user error", () => {
  check(
    property(uint8Array({ maxLength: 60 }), (bytes) => {
      for (const decode of [decodeZdsHello, decodeZdsRequest, decodeZdsResponse]) {
        try {
          decode(bytes);
        } catch (error) {
          assert.ok(error instanceof SerinError && error.kind === "user", String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});
