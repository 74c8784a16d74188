import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type * as Cel from "@bufbuild/cel";
import { loadPackage } from "../../../base/index.ts";
import { parseHttpRoute } from "../../gateway/http-route.ts";
import type { Parsed } from "../../parsed.ts";
import { withLiteralPercents } from "./http-headers.ts";
import { parseTelemetry } from "../telemetry.ts";
import { parseVirtualService } from "../virtual-service/virtual-service.ts";

const cel = loadPackage<typeof Cel>("@bufbuild/cel");
const { parse } = cel;
let parsed: string[] = [];
mock.getter(cel, "parse", () => (text: string) => {
  parsed.push(text);
  return parse(text);
});

/** The expressions that an object's parser parses, and the fault of the first one above the limit. */
function parsesOf(read: () => Parsed<unknown>): { readonly parses: readonly string[]; readonly fault?: string } {
  parsed = [];
  const error = read().errors.find(({ message }) => message.startsWith("has one CEL expression too many"));
  return { parses: parsed, ...(error === undefined ? {} : { fault: `${error.path}: ${error.message}` }) };
}

/** Each expression is new, because a parsed one is cached. Each header has 16 KiB of them. */
let made = 0;
const formats = (length: number): string[] =>
  Array.from({ length: 16 }, () => {
    let text = "";
    while (text.length < 16_000) {
      const name = `x${(made += 1)}`;
      text += `%CEL(${name}${" ".repeat(Math.max(0, length - name.length))})%`;
    }
    return text;
  });

const routes: Readonly<Record<string, (value: readonly string[]) => Parsed<unknown>>> = {
  VirtualService: (values) =>
    parseVirtualService({
      metadata: { name: "a", namespace: "b" },
      spec: {
        hosts: ["a.example.com"],
        http: values.map((value) => ({
          headers: { request: { set: { a: value } } },
          route: [{ destination: { host: "a" } }],
        })),
      },
    }),
  Telemetry: (values) =>
    parseTelemetry({
      metadata: { name: "a", namespace: "b" },
      spec: {
        tracing: [{ customTags: Object.fromEntries(values.map((value, tag) => [tag, { formatter: { value } }])) }],
      },
    }),
};

for (const [kind, read] of Object.entries(routes))
  test(`no ${kind} makes the control plane parse more than 256 expressions, or 8192 characters of them`, () => {
    const short = parsesOf(() => read(formats(1)));
    assert.match(short.fault ?? "", /^spec\..*an object may have 256 different ones, with 8192 characters together/);
    assert.ok(short.parses.length <= 256, String(short.parses.length));
    const long = parsesOf(() => read(formats(1000)));
    assert.notEqual(long.fault, undefined);
    assert.ok(long.parses.join("").length <= 8192, String(long.parses.join("").length));
  });

test("an HTTPRoute has the same bound, and its parser parses no expression", () => {
  const read = (values: readonly string[]): Parsed<unknown> =>
    parseHttpRoute({
      metadata: { name: "a", namespace: "b" },
      spec: {
        rules: values.map((value) => ({
          filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "a", value }] } }],
        })),
      },
    });
  for (const length of [1, 1000]) {
    const { fault, parses } = parsesOf(() => read(formats(length)));
    assert.match(fault ?? "", /^spec\.rules\[0\].*value: has one CEL expression too many/);
    assert.deepEqual(parses, []);
  }
  assert.deepEqual(read(["%CEL(a)%".repeat(16)]).errors, []);
});

test("an expression that an object has several times counts once", () => {
  const labels = Array.from({ length: 16 }, (_, at) => [
    `l${at}`,
    { value: `has(request.headers.x_${at}) ? string(request.headers.x_${at}) : "unknown"` },
  ]);
  const override = { match: { metric: "REQUEST_COUNT" }, tagOverrides: Object.fromEntries(labels) };
  const metrics = [{ overrides: Array.from({ length: 32 }, () => override) }];
  assert.deepEqual(parseTelemetry({ metadata: { name: "a", namespace: "b" }, spec: { metrics } }).errors, []);
});

test("the header of a custom tag is a name, and is parsed for no expression", () => {
  parsed = [];
  const names = ["a)%%CEL(1+1)%%REQ(b", "a)%\r%START_TIME(", "a b", ":path", "x-a"];
  const { warnings } = parseTelemetry({
    metadata: { name: "a", namespace: "b" },
    spec: { tracing: [{ customTags: Object.fromEntries(names.map((name, tag) => [tag, { header: { name } }])) }] },
  });
  assert.deepEqual(parsed, []);
  assert.deepEqual(
    warnings.filter(({ message }) => message.includes("header name")).map(({ path }) => path.split(".").at(-1)),
    ["0", "1", "2"],
  );
});

test("filters of access logs and labels of metrics count too", () => {
  const expression = `a${" || a".repeat(200)}`;
  const { fault, parses } = parsesOf(() =>
    parseTelemetry({
      metadata: { name: "a", namespace: "b" },
      spec: {
        accessLogging: Array.from({ length: 5 }, (_, at) => ({ filter: { expression: `${expression} || b${at}` } })),
        metrics: [
          {
            overrides: [
              {
                tagOverrides: Object.fromEntries(
                  ["a", "b", "c", "d", "e"].map((name) => [name, { value: `${expression} || ${name}` }]),
                ),
              },
            ],
          },
        ],
      },
    }),
  );
  assert.match(fault ?? "", /^spec\.accessLogging\[3\]\.filter\.expression: /);
  assert.equal(parses.length, 8);
});

test("an expression is parsed once, however often it is asked for, and a very long one never", () => {
  parsed = [];
  const value = "%CEL(once.only)%";
  for (let turn = 0; turn < 10; turn += 1) assert.equal(withLiteralPercents(value), value);
  assert.deepEqual(parsed, ["once.only"]);
  const long = `%CEL(a${" ".repeat(1024)})%`;
  assert.equal(withLiteralPercents(long), `%${long}%`);
  assert.deepEqual(parsed, ["once.only"]);
});
