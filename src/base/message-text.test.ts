import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import {
  counted,
  firstNames,
  nearestName,
  shellWord,
  terminalText,
  truncated,
  withArticle,
  withoutControls,
} from "./message-text.ts";

test("a shortened text keeps its first characters, and never ends in half of one", () => {
  assert.equal(truncated("abc", 3), "abc");
  assert.equal(truncated("abcd", 3), "abc…");
  assert.equal(truncated("ab😀d", 3), "ab…");
  assert.equal(truncated("a😀cd", 3), "a😀…");
});

test("a message has the first names, and the number of the others", () => {
  assert.equal(firstNames([], 2), "");
  assert.equal(firstNames(["a", "b"], 2), "a, b");
  assert.equal(firstNames(["a", "b", "c", "d"], 2), "a, b and 2 more");
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

test("a name of a megabyte is compared with none", () => {
  const long = "n".repeat(101);
  assert.equal(nearestName(long, [`${long}x`]), undefined);
  assert.equal(nearestName(long.slice(1), [long]), long);
});

test("control characters of a name are written out, so that no terminal obeys them", () => {
  assert.equal(withoutControls("web\u001B]0;x\u0007\u009B2J\r\nü"), "web\\x1b]0;x\\x07\\x9b2J\\x0d\\x0aü");
});

test("changes of the writing direction and invisible characters are written out, so that no text looks like another one", () => {
  assert.equal(withoutControls("a\u202Eb\u2066c\u200Fd\u200B\uFEFF"), "a\\u202eb\\u2066c\\u200fd\\u200b\\ufeff");
  assert.equal(terminalText("a\u202Eb\u200B"), "a\\u202eb\\u200b");
  for (const text of ["größe: 日本 שלום", "mi\u200Dx\u200C", "👩\u200D🚀"]) assert.equal(withoutControls(text), text);
});

test("a terminal gets the colours, line ends and cursor movements of Serin's own output, and no other control characters", () => {
  for (const own of [
    "\u001B[1;31mError\u001B[0m [IST0101] ",
    "\u001B[31mred\u001B[0m\t\u001B[1mbold\u001B[0m \u001B[2mdim\u001B[0m\r\n",
    "\u001B[2A\r\u001B[Jtext\n",
    "\r\u001B[K  waits",
    "\r\u001B[K",
    "\u001B[?25l",
    "\u001B[?25h",
  ])
    assert.equal(terminalText(own), own);
  assert.equal(
    terminalText("\u001B]52;c;aGk=\u0007 \u001B[6n \u001Bc \u009D0;x\u009C"),
    "\\x1b]52;c;aGk=\\x07 \\x1b[6n \\x1bc \\x9d0;x\\x9c",
  );
});

test("a text within an output moves no cursor, hides no text and returns to no line's beginning", () => {
  assert.equal(
    terminalText("\u001B[2A\r\u001B[Jhost \u001B[9A\u001B[Kgood\rbetter\u001B[8mhidden\u001B[?25l\u001B[2J\n"),
    "\u001B[2A\r\u001B[Jhost \\x1b[9A\\x1b[Kgood\\x0dbetter\\x1b[8mhidden\\x1b[?25l\\x1b[2J\n",
  );
});

test("a shell reads each word of a command that a person copies as that one word", () => {
  const words = ["istio-system/web", "--set=a.b=1,2", "my cluster", "$HOME", "it's", "a*", "~", ""];
  const command = `printf '%s|' ${words.map(shellWord).join(" ")}`;
  assert.equal(execFileSync("sh", ["-c", command], { encoding: "utf8" }), `${words.join("|")}|`);
  assert.equal(shellWord("istio-system/web"), "istio-system/web");
});

test("a number has the singular or the plural of its noun", () => {
  assert.deepEqual(
    [counted(1, "pod"), counted(0, "pod"), counted(2, "proxy", "proxies")],
    ["1 pod", "0 pods", "2 proxies"],
  );
});
