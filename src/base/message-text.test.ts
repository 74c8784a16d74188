import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName, truncated, withArticle } from "./message-text.ts";

test("a text keeps its first characters, and no half of one", () => {
  assert.equal(truncated("abc", 3), "abc");
  assert.equal(truncated("abcd", 3), "abc…");
  assert.equal(truncated("ab😀d", 3), "ab…");
  assert.equal(truncated("a😀cd", 3), "a😀…");
});

test("a noun that begins with the sound of a vowel has the article an", () => {
  const nouns = ["IstioOperator", "EnvoyFilter", "ip", "HTTPRoute", "XListenerSet", "upgrade"];
  assert.deepEqual(
    nouns.map(withArticle),
    nouns.map((noun) => `an ${noun}`),
  );
});

test("a noun that begins with the sound of a consonant has the article a", () => {
  const nouns = ["Pod", "unit", "user", "url", "TCPRoute", "UDPRoute", "DaemonSet", "gateway"];
  assert.deepEqual(
    nouns.map(withArticle),
    nouns.map((noun) => `a ${noun}`),
  );
});

test("the nearest known name is found despite a typo, a swap, another case or a longer form, and a stranger has none", () => {
  const known = ["pilot", "cni", "ztunnel", "env", "ingressGateways"];
  assert.deepEqual(
    ["pilots", "piolt", "CNI", "ztunel", "environment", "ingressGateway", "mixer"].map((name) =>
      nearestName(name, known),
    ),
    ["pilot", "pilot", "cni", "ztunnel", "env", "ingressGateways", undefined],
  );
});
