import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../base/testing/index.ts";
import { duplicateFields, parseYaml } from "./body.ts";
import { selectedName } from "./field-selector.ts";
import { parseLabelSelector } from "./label-selector.ts";

const size = 16_000;
const repeated = (piece: string, length: number): string => piece.repeat(Math.ceil(length / piece.length));
const numbered = (count: number, one: (index: number) => string, by = ","): string =>
  Array.from({ length: count }, (_, index) => one(index)).join(by);

function check(read: (text: string) => unknown, growths: Readonly<Record<string, (length: number) => string>>): void {
  const tolerant = (text: string): void => {
    try {
      read(text);
    } catch {
      // The server refuses the text. It must do so fast, too.
    }
  };
  for (const [name, make] of Object.entries(growths)) assert.equal(suspicion(tolerant, make, size), undefined, name);
}

const pieces = (...texts: readonly string[]): Readonly<Record<string, (length: number) => string>> =>
  Object.fromEntries(texts.map((text) => [JSON.stringify(text), (length: number) => repeated(text, length)]));

test("a label selector is parsed and applied in linear time", () => {
  const labels = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, "v"]));
  check((text) => parseLabelSelector(text)?.(labels), {
    ...pieces("a", ",", "(", "!", "=", " ", "a=b,", "a in ", "a-", "a/", "a.", "!a,", "==", "<"),
    "different keys": (length) => numbered(length / 8, (index) => `k${index}!=b`),
    "different values": (length) => `a notin (${numbered(length / 6, (index) => `v${index}`)})`,
    "equal values": (length) => `a in (${numbered(length / 2, () => "v")})`,
  });
});

test("a field selector is read in linear time, because the server reads it before it knows the user's rights", () => {
  check(selectedName, {
    ...pieces("a", ",", "=", "!", " ", "a=b,", "=="),
    "spaces before a value of two lines": (length) => `a=${repeated(" ", length)}b\nb`,
    "spaces before no operator": (length) => `a${repeated(" ", length)}b`,
  });
});

test("duplicate fields of a JSON text are found in linear time", () => {
  check(duplicateFields, {
    ...pieces('"', "[", "{", "\\", '{"a":'),
    "different names": (length) => `{${numbered(length / 8, (index) => `"k${index}":1`)}}`,
    "equal names": (length) => `{${numbered(length / 6, () => '"k":1')}}`,
    "a list": (length) => `[${numbered(length / 8, () => '{"a":1}')}]`,
    "a long text": (length) => `{"a":"${repeated('\\"', length)}"}`,
  });
});

/** The CPU time in which the server parses or refuses a text, in milliseconds. */
async function yamlMs(name: string, text: string, isRefused: boolean): Promise<number> {
  const before = process.cpuUsage();
  const refusal = await parseYaml(text).then(
    () => undefined,
    (error: unknown) => String(error),
  );
  const { user } = process.cpuUsage(before);
  assert.equal(refusal !== undefined, isRefused, `${name}: ${refusal ?? "parsed"}`);
  return user / 1000;
}

test("a YAML body is parsed, or refused for its levels or its length, in less than three seconds", async () => {
  const limit = 256 * 1024;
  const texts: readonly (readonly [name: string, make: (length: number) => string, isRefused: boolean])[] = [
    ["different keys", (length) => numbered(Math.floor(length / 14), (index) => `key${index}: v`, "\n"), false],
    ["a list", (length) => repeated("- v\n", length - 4), false],
    ["64 levels", () => `${"- ".repeat(63)}a`, false],
    ["64 levels of keys", () => `${"? ".repeat(63)}a`, true],
    ["400 levels of keys", () => `${"? ".repeat(400)}a`, true],
    ["the same key twice", () => "a: 1\nb: 2\na: 3", true],
    ["quotes", (length) => repeated('"', length), true],
    ["ends of other collections", (length) => `a: [${repeated("} ", length - 8)}`, true],
    ["tags", (length) => `a: ${repeated("! ", length - 8)}`, true],
    ["anchors", (length) => `a: ${repeated("&a ", length - 8)}`, true],
    ["lines of marks of keys", (length) => repeated(`${"? ".repeat(63)}a\n`, length - 128), true],
    ["maps that are keys", (length) => repeated(`- ${"{".repeat(60)}${"}".repeat(60)}\n`, length - 128), true],
    [
      "anchors with aliases",
      (length) => numbered(Math.floor(length / 29), (index) => `- &a${index} x\n- *a${index}`, "\n"),
      true,
    ],
    ["a text that begins like a number", (length) => `a: 1${repeated("0", length - 8)}x`, false],
    ["a text that begins like a long number", (length) => `a: 1${repeated("_", length - 8)}x`, false],
    ["the aliases of one anchor", () => `a: &a {x: 1}\nb:\n${"- *a\n".repeat(50)}`, false],
  ];
  const mostMs = 3000;
  for (const [name, make, isRefused] of texts) {
    const halfMs = await yamlMs(name, make(limit / 2), isRefused);
    // Skip the longest text if it would be fast enough even with quadratic time, which is four times that of half the
    // length.
    if (4 * halfMs < mostMs) continue;
    const ms = await yamlMs(name, make(limit), isRefused);
    assert.ok(ms < mostMs, `${name} took ${ms} ms`);
  }
  await yamlMs("more than the limit", repeated("a", limit + 1), true);
});
