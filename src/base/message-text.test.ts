import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName, terminalText, truncated, withArticle, withoutControls } from "./message-text.ts";

test("a shortened text keeps its first characters, and never ends in half of one", () => {
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

test("the nearest known name is found despite a typo, a swap, another case or a longer form, and a name that resembles none has no suggestion", () => {
  const known = ["pilot", "cni", "ztunnel", "env", "ingressGateways"];
  assert.deepEqual(
    ["pilots", "piolt", "CNI", "ztunel", "environment", "ingressGateway", "mixer"].map((name) =>
      nearestName(name, known),
    ),
    ["pilot", "pilot", "cni", "ztunnel", "env", "ingressGateways", undefined],
  );
});

test("control characters of a name are written out, so that no terminal obeys them", () => {
  assert.equal(withoutControls("web\u001B]0;x\u0007\u009B2J\r\nü"), "web\\x1b]0;x\\x07\\x9b2J\\x0d\\x0aü");
});

test("a terminal gets the colours, line ends and cursor movements of Serin's own output, and no other control characters", () => {
  const own = "\u001B[31mred\u001B[0m\t\u001B[2A\r\u001B[K\u001B[?25l\n";
  assert.equal(terminalText(own), own);
  assert.equal(
    terminalText("\u001B]52;c;aGk=\u0007 \u001B[6n \u001Bc \u009D0;x\u009C"),
    "\\x1b]52;c;aGk=\\x07 \\x1b[6n \\x1bc \\x9d0;x\\x9c",
  );
});
