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
      // The text is refused. That must be fast too.
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

test("a YAML body is parsed, or refused for its levels or its length, in less than three seconds", async () => {
  const limit = 256 * 1024;
  const texts: readonly (readonly [name: string, text: string, isRefused: boolean])[] = [
    ["different keys", numbered(18_000, (index) => `key${index}: v`, "\n"), false],
    ["a list", repeated("- v\n", limit - 4), false],
    ["64 levels", `${"- ".repeat(63)}a`, false],
    ["64 levels of keys", `${"? ".repeat(63)}a`, true],
    ["400 levels of keys", `${"? ".repeat(400)}a`, true],
    ["more than the limit", repeated("a", limit + 1), true],
    ["the same key twice", "a: 1\nb: 2\na: 3", true],
    ["quotes", repeated('"', limit), true],
    ["ends of other collections", `a: [${repeated("} ", limit - 8)}`, true],
    ["tags", `a: ${repeated("! ", limit - 8)}`, true],
    ["anchors", `a: ${repeated("&a ", limit - 8)}`, true],
    ["lines of marks of keys", repeated(`${"? ".repeat(63)}a\n`, limit - 128), true],
    ["maps that are keys", repeated(`- ${"{".repeat(60)}${"}".repeat(60)}\n`, limit - 128), true],
    ["anchors with aliases", numbered(9_000, (index) => `- &a${index} x\n- *a${index}`, "\n"), true],
    ["a text that begins like a number", `a: 1${repeated("0", limit - 8)}x`, false],
    ["a text that begins like a long number", `a: 1${repeated("_", limit - 8)}x`, false],
    ["the aliases of one anchor", `a: &a {x: 1}\nb:\n${"- *a\n".repeat(50)}`, false],
  ];
  for (const [name, text, isRefused] of texts) {
    const before = process.cpuUsage();
    const refusal = await parseYaml(text).then(
      () => undefined,
      (error: unknown) => String(error),
    );
    const { user } = process.cpuUsage(before);
    assert.equal(refusal !== undefined, isRefused, `${name}: ${refusal ?? "parsed"}`);
    assert.ok(user < 3_000_000, `${name} took ${user / 1000} ms`);
  }
});
