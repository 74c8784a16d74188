import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError } from "../errors.ts";
import { parseTemplate, renderTemplate, templateFunctions, elementOf } from "./index.ts";

function render(text: string, data: unknown = {}): string {
  const dialect = { functions: templateFunctions, fieldOf: elementOf, missing: "", hasInclude: true };
  return renderTemplate(parseTemplate(text), data, dialect);
}

test("an unclosed action is reported in linear time, however many quotes it has", () => {
  for (const text of [
    `{{ ${'"a" '.repeat(2_000)}`,
    `{{ ${'"'.repeat(4_001)} }}`,
    `{{ ${"`a` ".repeat(2_000)}`,
    `{{ "}}" ${"/* }} */".repeat(2_000)}`,
  ])
    assert.throws(() => parseTemplate(text), /is not closed/);
  assert.deepEqual(
    parseTemplate('a {{- /* }} " */ -}} b{{ "}}" -}} c').body.map((node) =>
      node.kind === "text" ? node.text : node.kind,
    ),
    ["a", "b", "action", "c"],
  );
});

const doubling = (start: string, next: string, times: number): string =>
  `{{ $x := ${start} }}${`{{ $x = ${next} }}`.repeat(times)}`;

test("a short template cannot take long or fill the memory", () => {
  const cases: readonly (readonly [name: string, template: string, expected: RegExp])[] = [
    [
      "templates that call each other twice",
      `${Array.from({ length: 40 }, (_, at) => `{{ define "${at}" }}{{ template "${at + 1}" }}{{ template "${at + 1}" }}{{ end }}`).join("")}{{ define "40" }}{{ end }}{{ template "0" }}`,
      /too much work/,
    ],
    ["a text that doubles", doubling('"ab"', 'printf "%s%s" $x $x', 60), /produces more than 1048576 characters/],
    ["a list that contains itself twice", doubling("list 1", "list $x $x", 60), /too much work/],
    ["a deep list", doubling("list 1", "list $x", 200), /nested more than 100 levels/],
    [
      "a long text that is repeated by replace",
      `${doubling('"ab"', "print $x $x", 16)}{{ replace "a" $x $x }}`,
      /produces more than 1048576 characters/,
    ],
    [
      "a long separator",
      `${doubling('"ab"', "print $x $x", 16)}{{ join $x (splitList "a" $x) }}`,
      /produces more than 1048576 characters/,
    ],
    [
      "a long text that is searched over and over",
      `${doubling('"ab"', "print $x $x", 16)}${"{{ if contains `c` $x }}{{ end }}".repeat(2_000)}`,
      /too much work/,
    ],
    [
      "a text that is included over and over",
      `{{ define "a" }}${"x".repeat(1_000)}{{ end }}${'{{ $y := include "a" . }}'.repeat(20_000)}`,
      /too much work/,
    ],
    ["parentheses", `{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`, /parentheses are nested more than 100 levels/],
    ["blocks", "{{ if true }}".repeat(20_000), /blocks are nested more than 100 levels/],
    [
      "a chain of conditions",
      `{{ if false }}${"{{ else if false }}".repeat(20_000)}{{ end }}`,
      /blocks are nested more than 100/,
    ],
    [
      "a call of itself",
      '{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}',
      /"a" calls itself without end/,
    ],
  ];
  for (const [name, template, expected] of cases) {
    const before = process.cpuUsage();
    assert.throws(
      () => render(template),
      (error) => error instanceof SerinError && error.kind === "user" && expected.test(error.message),
      name,
    );
    // Measure CPU time, because a process may have to wait on a busy machine.
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 5_000_000, `${name} took ${(user + system) / 1000} ms`);
  }
});

test("a function's own failure is an error of the template", () => {
  const dialect = {
    functions: { breaks: () => JSON.parse("{") as unknown },
    fieldOf: elementOf,
    missing: "",
    hasInclude: false,
  };
  assert.throws(
    () => renderTemplate(parseTemplate("{{ breaks }}"), {}, dialect),
    (error) =>
      error instanceof SerinError && error.code === "template-failed" && error.message.startsWith("breaks fails: "),
  );
  assert.equal(render("{{ indent -3 `a` }}{{ int `x` }}{{ int true }}"), "a01");
});

test("and and or stop at the first deciding value", () => {
  assert.equal(render("{{ if and false (fail `not asked`) }}{{ end }}{{ or 1 (fail `not asked`) }}"), "1");
});

test("include returns the text of another template, as in helm", () => {
  const text = '{{ define "a" }}[{{ . }}]{{ end }}{{ include "a" 1 | indent 1 }}{{ template "a" 2 }}';
  assert.equal(render(text), " [1][2]");
});
