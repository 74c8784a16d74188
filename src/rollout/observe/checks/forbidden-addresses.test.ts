import assert from "node:assert/strict";
import { test } from "node:test";
import { lookupOf, outsideLookup, refuseInsideAddress } from "./forbidden-addresses.ts";

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

test("given addresses take the place of DNS, and a forbidden one is refused too", async () => {
  const answer = async (addresses: readonly string[], options: object): Promise<unknown> =>
    await new Promise((resolve) =>
      lookupOf(addresses)("gate.shop", options, (error, found) => resolve(error?.message ?? found)),
    );
  const both = ["10.96.0.9", "fd00::9"];
  assert.equal(await answer(both, {}), "10.96.0.9");
  assert.equal(await answer(both, { family: 6 }), "fd00::9");
  assert.deepEqual(await answer(both, { all: true }), [
    { address: "10.96.0.9", family: 4 },
    { address: "fd00::9", family: 6 },
  ]);
  assert.match(String(await answer(["10.96.0.9"], { family: 6 })), /no address of the wanted family/);
  assert.match(String(await answer(["169.254.169.254"], {})), /engine's own machine or link-local/);
});
