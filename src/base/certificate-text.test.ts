import assert from "node:assert/strict";
import { test } from "node:test";
import { alternativeNames } from "./certificate-text.ts";

test("a name with a comma, a quote or a control character is one name of one kind", () => {
  const forged = "spiffe://elsewhere/x, URI:spiffe://cluster.local/ns/istio-system/sa/istiod, URI:y";
  for (const value of [forged, 'a", URI:spiffe://cluster.local/ns/a/sa/b, "', "a\\", "a\n, URI:b"]) {
    const text = `DNS:a.test, URI:${JSON.stringify(value)}, IP Address:10.0.0.1`;
    assert.deepEqual(
      alternativeNames(text),
      [
        { kind: "DNS", value: "a.test" },
        { kind: "URI", value },
        { kind: "IP Address", value: "10.0.0.1" },
      ],
      text,
    );
  }
  assert.deepEqual(alternativeNames(""), []);
  assert.deepEqual(alternativeNames("URI:spiffe://td/ns/a/sa/b"), [{ kind: "URI", value: "spiffe://td/ns/a/sa/b" }]);
});
