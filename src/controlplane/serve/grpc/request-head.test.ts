import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldValues, isGrpc, readRequestHead } from "./request-head.ts";

test("a call's timeout has at most eight digits and a unit, or it is ignored", () => {
  const timeoutMs = (value: string): number | undefined => readRequestHead(["grpc-timeout", value]).timeoutMs;
  const given: readonly (readonly [string, number])[] = [
    ["2H", 7_200_000],
    ["3M", 180_000],
    ["10S", 10_000],
    ["250m", 250],
    ["99999999u", 99_999.999],
    ["5n", 0.000_005],
  ];
  for (const [text, expected] of given) assert.ok(Math.abs((timeoutMs(text) ?? Number.NaN) - expected) < 1e-9, text);
  for (const text of ["", "5", "m", "123456789S", "-1S", "1.5S", "1 S", "1s"])
    assert.ok(Number.isNaN(timeoutMs(text)), text);
  assert.equal(readRequestHead([]).timeoutMs, undefined);
});

test("a content type is gRPC's with or without a message format, and gRPC-Web's differs", () => {
  for (const type of [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc;charset=utf-8",
    "Application/GRPC",
  ])
    assert.equal(isGrpc(type), true, type);
  for (const type of ["", "application/grpc-web", "application/grpc-web+proto", "application/json"])
    assert.equal(isGrpc(type), false, type);
});

test("a field that occurs twice has both values", () => {
  assert.deepEqual(fieldValues(["clusterid", "a", "x", "y", "clusterid", "b"], "clusterid"), ["a", "b"]);
});
