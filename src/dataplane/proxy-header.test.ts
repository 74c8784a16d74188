import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyHeader } from "./proxy-header.ts";

test("a PROXY header has source, destination and identity; if the families differ, both addresses are IPv6", () => {
  const source = { address: "10.0.0.1", port: 4660 };
  const header = proxyHeader(source, { address: "10.96.0.6", port: 80 }, "spiffe://a");
  assert.equal(
    header.toString("hex"),
    [
      "0d0a0d0a000d0a515549540a",
      "2111",
      "0019",
      "0a000001",
      "0a600006",
      "12340050",
      "d0000a",
      Buffer.from("spiffe://a").toString("hex"),
    ].join(""),
  );
  const mixed = proxyHeader(source, { address: "fd00::1", port: 80 }, "");
  assert.equal(
    mixed.toString("hex").slice(24),
    ["2121", "0024", "00000000000000000000ffff0a000001", "fd000000000000000000000000000001", "12340050"].join(""),
  );
});
