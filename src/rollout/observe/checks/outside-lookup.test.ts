import assert from "node:assert/strict";
import { test } from "node:test";
import { outsideLookup, refuseInsideAddress } from "./outside-lookup.ts";

test("a URL of the engine's own machine or a link-local address is refused in any notation", () => {
  for (const url of [
    "http://127.0.0.1:15000/",
    "http://2130706433/",
    "http://127.1/",
    "http://169.254.169.254/latest",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://0.0.0.0:15000/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
  ]) {
    assert.throws(() => refuseInsideAddress(new URL(url)), /engine's own machine or link-local/, url);
  }
  for (const url of ["http://10.96.0.10/", "http://gate.shop/", "http://[fd00::1]/"]) refuseInsideAddress(new URL(url));
});

test("a name that resolves to such an address is also refused", async () => {
  const error = await new Promise((resolve) => outsideLookup("localhost", {}, resolve));
  assert.match(String(error), /localhost \((127\.0\.0\.1|::1)\) is an address of the engine's own machine/);
});
