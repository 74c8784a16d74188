import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../base/testing/index.ts";
import { duplicateFields } from "./body.ts";
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

test("duplicate fields of a JSON text are found in linear time", () => {
  check(duplicateFields, {
    ...pieces('"', "[", "{", "\\", '{"a":'),
    "different names": (length) => `{${numbered(length / 8, (index) => `"k${index}":1`)}}`,
    "equal names": (length) => `{${numbered(length / 6, () => '"k":1')}}`,
    "a list": (length) => `[${numbered(length / 8, () => '{"a":1}')}]`,
    "a long text": (length) => `{"a":"${repeated('\\"', length)}"}`,
  });
});
